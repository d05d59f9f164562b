-- Devices, their keys, key backups and to-device messages.

CREATE TABLE devices (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    display_name TEXT,
    created_at BIGINT NOT NULL,
    PRIMARY KEY (user_id, device_id)
) /* without rowid */;

-- Every change of what others see of a user's devices: the devices, their keys, cross-signing keys, signatures.
CREATE TABLE device_list_changes (
    user_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (user_id, position)
) /* without rowid */;
CREATE INDEX device_list_changes_position ON device_list_changes (position, user_id);

-- keys: the uploaded JSON object with every signature of the user's own, without `unsigned`.
CREATE TABLE device_keys (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    keys BYTEA NOT NULL,
    PRIMARY KEY (user_id, device_id)
) /* without rowid */;

-- A few keys of one upload in one row: key_ids and keys are JSON arrays of the same length, `size`. The first
-- `taken` of them have been given out. turn: the order in which the rows of a device are given out.
CREATE TABLE one_time_keys (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    turn BIGINT NOT NULL,
    size BIGINT NOT NULL,
    taken BIGINT NOT NULL,
    key_ids BYTEA NOT NULL,
    keys BYTEA NOT NULL,
    PRIMARY KEY (user_id, device_id, algorithm, turn)
);

CREATE TABLE fallback_keys (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    algorithm TEXT NOT NULL,
    key_id TEXT NOT NULL,
    key BYTEA NOT NULL,
    used BOOLEAN NOT NULL,
    PRIMARY KEY (user_id, device_id, algorithm)
) /* without rowid */;

-- usage: master, self_signing or user_signing. key: the JSON object with the user's own signatures.
CREATE TABLE cross_signing_keys (
    user_id TEXT NOT NULL,
    usage TEXT NOT NULL,
    public_key TEXT NOT NULL,
    key BYTEA NOT NULL,
    PRIMARY KEY (user_id, usage)
) /* without rowid */;

-- Signatures on other users' master keys, which only their signer sees.
CREATE TABLE user_signatures (
    signer TEXT NOT NULL,
    target TEXT NOT NULL,
    target_key TEXT NOT NULL,
    signing_key TEXT NOT NULL,
    signature TEXT NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (signer, target, target_key, signing_key)
) /* without rowid */;

-- A deleted backup keeps its row, so that its version is not given again.
CREATE TABLE key_backups (
    user_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    algorithm TEXT NOT NULL,
    auth_data BYTEA NOT NULL,
    etag BIGINT NOT NULL,
    keys BIGINT NOT NULL,
    deleted BOOLEAN NOT NULL,
    PRIMARY KEY (user_id, version)
) /* without rowid */;

CREATE TABLE key_backup_sessions (
    user_id TEXT NOT NULL,
    version BIGINT NOT NULL,
    room_id TEXT NOT NULL,
    session_id TEXT NOT NULL,
    first_message_index BIGINT NOT NULL,
    forwarded_count BIGINT NOT NULL,
    is_verified BOOLEAN NOT NULL,
    session_data BYTEA NOT NULL,
    PRIMARY KEY (user_id, version, room_id, session_id)
) /* without rowid */;

CREATE TABLE to_device_messages (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    position BIGINT NOT NULL,
    message BYTEA NOT NULL,
    PRIMARY KEY (user_id, device_id, position)
) /* without rowid */;

CREATE TABLE to_device_txns (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    event_type TEXT NOT NULL,
    txn_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (user_id, device_id, event_type, txn_id)
) /* without rowid */;
CREATE INDEX to_device_txns_at ON to_device_txns (at);
