-- Rooms that were purged, and rooms that are blocked.

-- times: how often it was purged; who brings it in anew by what was known before is refused. under_way: something of
-- it may be left here, and nobody can come into it.
CREATE TABLE purged_rooms (
    room_id TEXT PRIMARY KEY,
    times BIGINT NOT NULL,
    under_way BOOLEAN NOT NULL
) /* without rowid */;

-- Our users who had been in a room that was purged, and at which position they were out of it: a client that has not
-- synced since must be told.
CREATE TABLE purged_memberships (
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (user_id, room_id)
) /* without rowid */;
CREATE INDEX purged_memberships_position ON purged_memberships (user_id, position);

-- Rooms that no user of ours may come into. blocked_at in ms.
CREATE TABLE blocked_rooms (
    room_id TEXT PRIMARY KEY,
    blocked_by TEXT NOT NULL,
    blocked_at BIGINT NOT NULL
) /* without rowid */;

-- Who moves a room by `INSERT … ON CONFLICT DO UPDATE` inserts a value here that refers to nothing, so that a room which
-- is gone does not come back by it. In all rows that there are it is NULL.
ALTER TABLE rooms ADD COLUMN must_exist TEXT REFERENCES meta (key);

-- To find what belongs to a room.
CREATE INDEX waiting_redactions_room ON waiting_redactions (room_id);
CREATE INDEX account_data_room ON account_data (room_id, user_id, type) WHERE room_id <> '';
