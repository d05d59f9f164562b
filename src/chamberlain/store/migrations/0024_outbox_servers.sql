-- How far each other server has been told of what happened in rooms.

-- sent: what was for the server up to this position it has, or was too old to be sent. behind: there may be more for it
-- after that, to be found in `events`. txn_*: the transaction that is under way to it, or was when the server stopped:
-- its id, its time (ms), the position that `sent` has after it, JSON [nid, …] of its events, its EDUs as a JSON array:
-- those that were taken out of `outbox_edus`, and those that are worth little later.
CREATE TABLE outbox_servers (
    destination TEXT PRIMARY KEY,
    sent BIGINT NOT NULL,
    behind BOOLEAN NOT NULL,
    txn_id TEXT,
    txn_at BIGINT,
    txn_upto BIGINT,
    txn_pdus TEXT,
    txn_edus BYTEA,
    txn_ephemeral BYTEA
);
CREATE INDEX outbox_servers_behind ON outbox_servers (destination) WHERE behind;

-- Whose events of which room are for which server: those at since < position <= until, or without end.
CREATE TABLE outbox_rooms (
    destination TEXT NOT NULL,
    room_id TEXT NOT NULL,
    since BIGINT NOT NULL,
    until BIGINT,
    PRIMARY KEY (destination, room_id)
) /* without rowid */;
CREATE INDEX outbox_rooms_room ON outbox_rooms (room_id, until);

-- The newest event of a room that was for any other server.
CREATE TABLE outbox_newest (
    room_id TEXT PRIMARY KEY,
    position BIGINT NOT NULL
) /* without rowid */;
