-- When push rules began to be evaluated for a user alone (they have rules of their own, or ignore somebody), or again
-- as for everyone: what came up to this position was counted in the other way.

CREATE TABLE push_regimes (
    user_id TEXT NOT NULL,
    since BIGINT NOT NULL,
    own BOOLEAN NOT NULL,
    PRIMARY KEY (user_id, since)
) /* without rowid */;
