-- What other servers have sent.

-- PDUs that were acknowledged and are not worked off yet: those of one transaction for one room. position: in the
-- change stream, the order of arrival. event_ids, pdus: JSON arrays of the same length, `events`; size: the bytes
-- of pdus.
CREATE TABLE staged_pdus (
    position BIGINT PRIMARY KEY,
    room_id TEXT NOT NULL,
    origin TEXT NOT NULL,
    events BIGINT NOT NULL,
    size BIGINT NOT NULL,
    event_ids BYTEA NOT NULL,
    pdus BYTEA NOT NULL
);
CREATE INDEX staged_pdus_room ON staged_pdus (room_id, position);
CREATE INDEX staged_pdus_origin ON staged_pdus (origin, room_id, events, size);

-- answer: what the server was answered, and is answered again where it repeats the transaction.
CREATE TABLE received_transactions (
    origin TEXT NOT NULL,
    txn_id TEXT NOT NULL,
    answer BYTEA NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (origin, txn_id)
) /* without rowid */;
CREATE INDEX received_transactions_at ON received_transactions (at);

-- The devices of other servers' users, as their server told us. stream_id: of its latest update. is_stale: something
-- was missed, their server is to be asked anew. missed: how often something was. asked_at: the position of the change
-- stream when their server was asked; it has told us of all that changed since, as long as a room was shared.
-- master, self_signing: JSON objects.
CREATE TABLE remote_device_lists (
    user_id TEXT PRIMARY KEY,
    stream_id BIGINT NOT NULL,
    is_stale BOOLEAN NOT NULL,
    missed BIGINT NOT NULL,
    asked_at BIGINT NOT NULL,
    master BYTEA,
    self_signing BYTEA
) /* without rowid */;
CREATE INDEX remote_device_lists_stale ON remote_device_lists (user_id) WHERE is_stale;

-- keys: the signed JSON object without `unsigned`.
CREATE TABLE remote_devices (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    keys BYTEA NOT NULL,
    display_name TEXT,
    PRIMARY KEY (user_id, device_id)
) /* without rowid */;

-- Where our users are: whether anyone of them is in a big room of others is asked often.
CREATE INDEX memberships_ours ON memberships (room_id) WHERE local;

-- Up to which change other servers have been told of a local user's devices.
CREATE TABLE device_list_streams (
    user_id TEXT PRIMARY KEY,
    stream_id BIGINT NOT NULL
) /* without rowid */;
