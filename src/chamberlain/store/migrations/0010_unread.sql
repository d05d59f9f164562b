-- From where on a member has something unread. joined_position: that of the event which had them join, while they
-- are in the room; another name does not move it.

ALTER TABLE memberships ADD COLUMN joined_position BIGINT NOT NULL DEFAULT 0;
UPDATE memberships SET joined_position = position;

-- Whether an event is a highlight for every member: what is in a thread is counted there, not for the room.
ALTER TABLE events ADD COLUMN highlights BOOLEAN NOT NULL DEFAULT FALSE;
