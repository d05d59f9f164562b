-- What the graph of a room lacks here, and redactions whose target has not arrived.

-- Events that others name as their predecessors and that are not part of the timeline here: where older history is to
-- be asked for. referrer: the event that names it; depth: that of the referrer.
CREATE TABLE backward_edges (
    room_id TEXT NOT NULL,
    missing TEXT NOT NULL,
    referrer BIGINT NOT NULL,
    depth BIGINT NOT NULL,
    PRIMARY KEY (room_id, missing, referrer)
) /* without rowid */;
CREATE INDEX backward_edges_depth ON backward_edges (room_id, depth);

-- redaction: the event that wants `target` redacted.
CREATE TABLE waiting_redactions (
    target TEXT NOT NULL,
    redaction TEXT NOT NULL,
    room_id TEXT NOT NULL,
    PRIMARY KEY (target, redaction)
) /* without rowid */;

-- Places of events that were fetched from the past: counted downward, below all places of arrival.
INSERT INTO sequences (name, value) VALUES ('backfill', 0);
