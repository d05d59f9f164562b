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
