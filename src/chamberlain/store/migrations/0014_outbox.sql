-- What other servers must be told besides events.

-- One row for each EDU and server until that server has it, or a transaction that has it is under way to it
-- (`outbox_servers`). position: of the change that put it here. edu_key: a newer one with the same key takes its place.
CREATE TABLE outbox_edus (
    destination TEXT NOT NULL,
    position BIGINT NOT NULL,
    edu_key TEXT,
    edu BYTEA NOT NULL,
    PRIMARY KEY (destination, position)
);
CREATE INDEX outbox_edus_key ON outbox_edus (destination, edu_key) WHERE edu_key IS NOT NULL;
