-- Administration: jobs, leases, the audit log, server notices, nonces of shared-secret registration.

-- A lease is held until `until` (ms); each new holder gets a larger token, which fences off the writes of older ones.
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    token BIGINT NOT NULL,
    until BIGINT NOT NULL
) /* without rowid */;

-- state: scheduled, active, complete, failed, cancelled. planned: every item of the job is in job_items.
-- done counts the items that are dealt with, whether they succeeded or not; failed those that did not.
CREATE TABLE jobs (
    job_id TEXT PRIMARY KEY,
    kind TEXT NOT NULL,
    subject TEXT NOT NULL,
    requester TEXT NOT NULL,
    arguments BYTEA NOT NULL,
    state TEXT NOT NULL,
    planned BOOLEAN NOT NULL,
    cancelling BOOLEAN NOT NULL,
    total BIGINT NOT NULL,
    done BIGINT NOT NULL,
    failed BIGINT NOT NULL,
    error TEXT,
    created_at BIGINT NOT NULL,
    started_at BIGINT,
    finished_at BIGINT
);
CREATE UNIQUE INDEX jobs_open ON jobs (kind, subject) WHERE finished_at IS NULL;
CREATE INDEX jobs_created ON jobs (created_at, job_id);
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE finished_at IS NOT NULL;

-- state: waiting, claimed (its effect may have happened), done, failed, skipped (there was nothing to do).
-- detail: what came of it, or why it failed.
CREATE TABLE job_items (
    job_id TEXT NOT NULL,
    place BIGINT NOT NULL,
    item TEXT NOT NULL,
    state TEXT NOT NULL,
    detail TEXT,
    PRIMARY KEY (job_id, place)
) /* without rowid */;
CREATE INDEX job_items_state ON job_items (job_id, state, place);

-- Two records for each call that changes anything: the call before it runs, and its outcome, whose `call` is the number
-- of the first. One for a call that only reads.
-- hash: of the record before, and of everything in this one but the clear text of its personal fields, for which
-- `commitments` has salted hashes. mac: of the hash, made with a key that is not in the database.
-- actor, target, personal: the clear text, outside the chain, so that it can be shredded. `personal` is an object of
-- [salt, text] by the field's name; the texts of actor and target stand in their columns, and are null in it.
INSERT INTO sequences (name, value) VALUES ('audit', 0);
CREATE TABLE audit_records (
    number BIGINT PRIMARY KEY,
    call BIGINT,
    at BIGINT NOT NULL,
    operation TEXT NOT NULL,
    facade TEXT NOT NULL,
    outcome TEXT NOT NULL,
    job_id TEXT,
    commitments TEXT NOT NULL,
    hash BYTEA NOT NULL,
    mac BYTEA NOT NULL,
    actor TEXT,
    target TEXT,
    personal BYTEA NOT NULL
);
CREATE UNIQUE INDEX audit_records_call ON audit_records (call) WHERE call IS NOT NULL;
CREATE INDEX audit_records_operation ON audit_records (operation, number);
CREATE INDEX audit_records_actor ON audit_records (actor, number) WHERE actor IS NOT NULL;
CREATE INDEX audit_records_target ON audit_records (target, number) WHERE target IS NOT NULL;

-- The one room in which a user gets notices.
CREATE TABLE server_notice_rooms (
    user_id TEXT PRIMARY KEY,
    room_id TEXT NOT NULL UNIQUE
) /* without rowid */;

-- A transaction id of an administrator: the notice that it sent.
CREATE TABLE server_notice_txns (
    actor TEXT NOT NULL,
    txn_id TEXT NOT NULL,
    event_id TEXT NOT NULL,
    at BIGINT NOT NULL,
    PRIMARY KEY (actor, txn_id)
) /* without rowid */;
CREATE INDEX server_notice_txns_at ON server_notice_txns (at);

CREATE TABLE registration_nonces (
    nonce TEXT PRIMARY KEY,
    expires_at BIGINT NOT NULL
) /* without rowid */;
CREATE INDEX registration_nonces_expiry ON registration_nonces (expires_at);

-- The list of rooms in its usual order.
CREATE INDEX room_summaries_name ON room_summaries (lower(COALESCE(name, '')), room_id);
