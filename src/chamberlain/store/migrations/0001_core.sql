-- The change stream, rooms and events.

CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);

-- 'position' is the one counter of durable changes; the others give integer ids in blocks.
CREATE TABLE sequences (name TEXT PRIMARY KEY, value BIGINT NOT NULL);
INSERT INTO sequences (name, value) VALUES ('position', 0), ('event', 0), ('state_line', 0), ('state_key', 0);

CREATE TABLE changes (
    position BIGINT PRIMARY KEY,
    kind TEXT NOT NULL,
    entity TEXT NOT NULL,
    ref TEXT,
    at BIGINT NOT NULL
);

-- The head of a room is (extremities, cur_line, cur_ver); head_seq moves with it, and a unit that was built on
-- another head_seq is refused. extremities: JSON [[nid, event_id, depth, auth_height], …].
CREATE TABLE rooms (
    room_id TEXT PRIMARY KEY,
    version TEXT NOT NULL,
    creator TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    cur_line BIGINT NOT NULL,
    cur_ver BIGINT NOT NULL,
    head_seq BIGINT NOT NULL,
    extremities TEXT NOT NULL,
    notify_count BIGINT NOT NULL,
    highlight_count BIGINT NOT NULL,
    thread_notify_count BIGINT NOT NULL
);

-- pdu: the canonical bytes that were signed. client: the client form without `unsigned`.
-- position: place of arrival; negative for backfilled events; NULL for outliers.
-- notify_count: how many events of the room's main timeline notified everyone who has only the default push rules,
-- this event included; thread_notify_count: the same of its threads; highlight_count: how many highlighted everyone.
-- The unread counts of such users are differences of these. notifies: this event is one of them.
-- replaces: the state event whose place this one took. thread: the root of the thread that it belongs to.
CREATE TABLE events (
    nid BIGINT PRIMARY KEY,
    event_id TEXT NOT NULL UNIQUE,
    room_id TEXT NOT NULL,
    position BIGINT,
    depth BIGINT NOT NULL,
    type TEXT NOT NULL,
    state_key TEXT,
    sender TEXT NOT NULL,
    origin_server_ts BIGINT NOT NULL,
    received_at BIGINT NOT NULL,
    before_line BIGINT,
    before_ver BIGINT,
    after_line BIGINT,
    after_ver BIGINT,
    auth_height BIGINT NOT NULL,
    rejected TEXT,
    soft_failed BOOLEAN NOT NULL,
    redacted_by TEXT,
    replaces TEXT,
    relates_to TEXT,
    rel_type TEXT,
    rel_key TEXT,
    thread TEXT,
    contains_url BOOLEAN NOT NULL,
    notifies BOOLEAN NOT NULL,
    notify_count BIGINT NOT NULL,
    highlight_count BIGINT NOT NULL,
    thread_notify_count BIGINT NOT NULL,
    txn_device TEXT,
    txn_id TEXT,
    pdu BYTEA NOT NULL,
    client BYTEA NOT NULL
);
CREATE INDEX events_arrival ON events (room_id, position);
CREATE INDEX events_history ON events (room_id, depth, position);
CREATE INDEX events_time ON events (room_id, origin_server_ts);
CREATE INDEX events_relations ON events (relates_to, rel_type) WHERE relates_to IS NOT NULL;
CREATE INDEX events_threads ON events (room_id, thread, position) WHERE thread IS NOT NULL;
CREATE INDEX events_sender ON events (sender, room_id, position);

-- Auth events of state events: the way of the auth difference.
CREATE TABLE event_auth (
    event BIGINT NOT NULL,
    auth BIGINT NOT NULL,
    PRIMARY KEY (event, auth)
) /* without rowid */;
CREATE INDEX event_auth_back ON event_auth (auth, event);

-- A transaction id of a device for one path: the event it made.
CREATE TABLE event_txns (
    user_id TEXT NOT NULL,
    device TEXT NOT NULL,
    path TEXT NOT NULL,
    txn_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (user_id, device, path, txn_id)
) /* without rowid */;
CREATE INDEX event_txns_at ON event_txns (at);

-- Current memberships, local and remote, one row for each user who ever was something in the room.
-- local says that the user is ours. position: of the member event. forgotten: by /forget.
CREATE TABLE memberships (
    room_id TEXT NOT NULL,
    user_id TEXT NOT NULL,
    membership TEXT NOT NULL,
    local BOOLEAN NOT NULL,
    event_id TEXT NOT NULL,
    sender TEXT NOT NULL,
    display_name TEXT,
    avatar_url TEXT,
    position BIGINT NOT NULL,
    forgotten BOOLEAN NOT NULL,
    PRIMARY KEY (room_id, user_id)
) /* without rowid */;
CREATE INDEX memberships_user ON memberships (user_id, membership);

-- What lists of rooms show, kept as the state changes.
CREATE TABLE room_summaries (
    room_id TEXT PRIMARY KEY,
    name TEXT,
    topic TEXT,
    avatar_url TEXT,
    canonical_alias TEXT,
    join_rule TEXT,
    history_visibility TEXT,
    guest_access TEXT,
    encryption TEXT,
    room_type TEXT,
    tombstone TEXT,
    federatable BOOLEAN NOT NULL,
    joined BIGINT NOT NULL,
    invited BIGINT NOT NULL,
    local_joined BIGINT NOT NULL,
    state_events BIGINT NOT NULL
);

-- Rows only where the room-wide counts of `events` do not tell: mentions, and users with push rules of their own.
-- thread: the thread's root event id, 'main' for the main timeline.
CREATE TABLE notifications (
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    thread TEXT NOT NULL,
    notify BOOLEAN NOT NULL,
    highlight BOOLEAN NOT NULL,
    actions TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (user_id, room_id, event_id)
) /* without rowid */;
CREATE INDEX notifications_position ON notifications (user_id, position);
