-- Accounts: users, tokens, user-interactive authentication, profiles, account data.

-- A row is never deleted: an id belongs to one person forever. Times are in ms; NULL: it is not so.
CREATE TABLE users (
    user_id TEXT PRIMARY KEY,
    created_at BIGINT NOT NULL,
    password_hash TEXT,
    admin BOOLEAN NOT NULL,
    guest BOOLEAN NOT NULL,
    user_type TEXT,
    appservice_id TEXT,
    locked_at BIGINT,
    suspended_at BIGINT,
    shadow_banned_at BIGINT,
    deactivated_at BIGINT,
    erased_at BIGINT
);
CREATE INDEX users_created ON users (created_at, user_id);

-- hash: SHA-256 of the token. device_id is NULL for a token that an administrator made.
-- replaces: the refresh token that this one came from, which stays good until this one is used.
CREATE TABLE access_tokens (
    hash BYTEA PRIMARY KEY,
    user_id TEXT NOT NULL,
    device_id TEXT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT,
    replaces BYTEA
) /* without rowid */;
CREATE INDEX access_tokens_user ON access_tokens (user_id, device_id);

CREATE TABLE refresh_tokens (
    hash BYTEA PRIMARY KEY,
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    replaces BYTEA
) /* without rowid */;
CREATE INDEX refresh_tokens_user ON refresh_tokens (user_id, device_id);

CREATE TABLE login_tokens (
    hash BYTEA PRIMARY KEY,
    user_id TEXT NOT NULL,
    expires_at BIGINT NOT NULL
) /* without rowid */;
CREATE INDEX login_tokens_expiry ON login_tokens (expires_at);
CREATE INDEX login_tokens_user ON login_tokens (user_id);

CREATE TABLE openid_tokens (
    hash BYTEA PRIMARY KEY,
    user_id TEXT NOT NULL,
    expires_at BIGINT NOT NULL
) /* without rowid */;
CREATE INDEX openid_tokens_expiry ON openid_tokens (expires_at);
CREATE INDEX openid_tokens_user ON openid_tokens (user_id);

-- Sessions that have got somewhere: fresh ones are only signed, not stored. completed: JSON list of stages.
-- registration_token: the one of which this session holds a use.
CREATE TABLE uia_sessions (
    session TEXT PRIMARY KEY,
    completed BYTEA NOT NULL,
    registration_token TEXT,
    used BOOLEAN NOT NULL,
    expires_at BIGINT NOT NULL
) /* without rowid */;
CREATE INDEX uia_sessions_expiry ON uia_sessions (expires_at);

-- pending: uses held by sessions that are not finished. uses_allowed NULL: any number.
CREATE TABLE registration_tokens (
    token TEXT PRIMARY KEY,
    uses_allowed BIGINT,
    pending BIGINT NOT NULL,
    completed BIGINT NOT NULL,
    expires_at BIGINT,
    created_at BIGINT NOT NULL
) /* without rowid */;

-- value: JSON.
CREATE TABLE profiles (
    user_id TEXT NOT NULL,
    field TEXT NOT NULL,
    value BYTEA NOT NULL,
    PRIMARY KEY (user_id, field)
) /* without rowid */;

-- room_id is '' for what belongs to no room. content: JSON; for m.push_rules only what differs from the defaults.
CREATE TABLE account_data (
    user_id TEXT NOT NULL,
    room_id TEXT NOT NULL,
    type TEXT NOT NULL,
    content BYTEA NOT NULL,
    position BIGINT NOT NULL,
    PRIMARY KEY (user_id, room_id, type)
) /* without rowid */;
CREATE INDEX account_data_position ON account_data (user_id, position);

CREATE TABLE threepids (
    medium TEXT NOT NULL,
    address TEXT NOT NULL,
    user_id TEXT NOT NULL,
    validated_at BIGINT NOT NULL,
    added_at BIGINT NOT NULL,
    PRIMARY KEY (medium, address)
) /* without rowid */;
CREATE INDEX threepids_user ON threepids (user_id);

CREATE TABLE filters (
    user_id TEXT NOT NULL,
    filter_id TEXT NOT NULL,
    definition BYTEA NOT NULL,
    PRIMARY KEY (user_id, filter_id)
) /* without rowid */;

-- From where a device has been used. device_id is '' for a token without a device.
CREATE TABLE connections (
    user_id TEXT NOT NULL,
    device_id TEXT NOT NULL,
    ip TEXT NOT NULL,
    user_agent TEXT NOT NULL,
    last_seen BIGINT NOT NULL,
    PRIMARY KEY (user_id, device_id, ip, user_agent)
) /* without rowid */;
CREATE INDEX connections_seen ON connections (last_seen);
