-- Reading history: relations in the order of the history, reports.

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
