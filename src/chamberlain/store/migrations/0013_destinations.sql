-- Other homeservers that this one exchanges things with, and since when those that fail do. Times in ms.

-- failing_since: NULL while the server answers. retry_at: it is not asked before. retry_interval: the wait that ends
-- then. last_answered: to the day; NULL when it never has.
CREATE TABLE destinations (
    destination TEXT PRIMARY KEY,
    failing_since BIGINT,
    retry_at BIGINT NOT NULL,
    retry_interval BIGINT NOT NULL,
    last_answered BIGINT
) /* without rowid */;
CREATE INDEX destinations_failing ON destinations (destination) WHERE failing_since IS NOT NULL;
