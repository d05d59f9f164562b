-- What our users are in rooms that this server is not in: invited, or waiting for an answer to their knock. The
-- membership itself stands in memberships, its event in events, without a place.
-- server: the one that told us, which can be asked; stripped: JSON list of the state events that may be shown.
CREATE TABLE outside_memberships (
    room_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    version TEXT NOT NULL,
    server TEXT NOT NULL,
    stripped BYTEA NOT NULL,
    PRIMARY KEY (room_id, user_id)
) /* without rowid */;
