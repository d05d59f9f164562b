-- Rooms that a user of ours came into without hearing of all its members first.

ALTER TABLE rooms ADD COLUMN is_partial BOOLEAN NOT NULL DEFAULT FALSE;

-- join_event: the state before it is what is asked for. completed: from which position on the members are known.
CREATE TABLE partial_rooms (
    room_id TEXT PRIMARY KEY,
    join_event TEXT NOT NULL,
    told_by TEXT NOT NULL,
    completed BIGINT
);

-- The servers that were said to be in such a room; kept until its members are known.
CREATE TABLE partial_room_servers (
    room_id TEXT NOT NULL,
    server TEXT NOT NULL,
    PRIMARY KEY (room_id, server)
) /* without rowid */;
