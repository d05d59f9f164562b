-- Rooms that a user of ours is being brought into by a join at another server. What servers send for them waits until
-- that is done, or this time (ms) has come.
CREATE TABLE entering_rooms (
    room_id TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    until BIGINT NOT NULL
) /* without rowid */;
