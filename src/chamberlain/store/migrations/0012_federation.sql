-- Rooms that other servers take part in.

-- outgoing: this server tells the others of the event: its own, and what came into the room through it.
ALTER TABLE events ADD COLUMN outgoing BOOLEAN NOT NULL DEFAULT FALSE;
