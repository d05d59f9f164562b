-- What other servers have said of their keys, as they have signed it (canonical JSON).

-- key_ids: those in the answer, separated by spaces. fetched_at in ms.
CREATE TABLE server_keys (
    server_name TEXT NOT NULL,
    fetched_at BIGINT NOT NULL,
    key_ids TEXT NOT NULL,
    answer BYTEA NOT NULL,
    PRIMARY KEY (server_name, fetched_at)
);
