-- What belongs to rooms beside their events.

CREATE TABLE room_aliases (
    alias TEXT PRIMARY KEY,
    room_id TEXT NOT NULL,
    creator TEXT NOT NULL,
    created_at BIGINT NOT NULL
);
CREATE INDEX room_aliases_room ON room_aliases (room_id);

-- Rooms that the directory lists.
CREATE TABLE published_rooms (room_id TEXT PRIMARY KEY, published_at BIGINT NOT NULL);

-- How far users have read. type: m.read or m.read.private. thread: '' for the whole room, 'main', or a
-- thread's root. event_position: of the event, so that a receipt only moves forward; position: of the change itself.
CREATE TABLE receipts (
    room_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    type TEXT NOT NULL,
    thread TEXT NOT NULL,
    event_id TEXT NOT NULL,
    event_position BIGINT NOT NULL,
    ts BIGINT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (room_id, user_id, type, thread)
) /* without rowid */;
CREATE INDEX receipts_room ON receipts (room_id, position);
CREATE INDEX receipts_user ON receipts (user_id, position);

-- How far the followers of the change stream have come that work once in the whole cluster.
CREATE TABLE followers (name TEXT PRIMARY KEY, position BIGINT NOT NULL);
CREATE INDEX changes_profile ON changes (position) WHERE kind = 'profile';
