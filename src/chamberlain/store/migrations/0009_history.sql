-- Reading history: relations in the order of the history, reports, search.

CREATE INDEX events_children ON events (relates_to, depth, position) WHERE relates_to IS NOT NULL;

-- kind: event, room or user. user_id: the sender of the reported event, or the reported user. at: in ms.
INSERT INTO sequences (name, value) VALUES ('report', 0);
CREATE TABLE reports (
    report_id BIGINT PRIMARY KEY,
    kind TEXT NOT NULL,
    at BIGINT NOT NULL,
    reporter TEXT NOT NULL,
    room_id TEXT,
    event_id TEXT,
    user_id TEXT,
    reason TEXT,
    score BIGINT
);
CREATE INDEX reports_kind ON reports (kind, report_id);
CREATE INDEX reports_room ON reports (room_id);
CREATE INDEX reports_reporter ON reports (reporter);

-- The words of messages, room names and topics; hits: how often the word stands in the text. Written by a follower
-- named 'search'; an event that was redacted has no rows.
CREATE TABLE search_terms (
    room_id TEXT NOT NULL,
    term TEXT NOT NULL,
    nid BIGINT NOT NULL,
    hits BIGINT NOT NULL,
    PRIMARY KEY (room_id, term, nid)
) /* without rowid */;
CREATE INDEX search_terms_event ON search_terms (nid);
