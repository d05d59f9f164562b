-- Where the order of arrival says something else than the order of history.

-- after_gap: what was before the event was not here when it came. No timeline of /sync goes on across that, even where
-- it has been fetched since. reach: of an event that came late, the greatest depth that the room had reached before.
ALTER TABLE events ADD COLUMN after_gap BOOLEAN NOT NULL DEFAULT FALSE;
ALTER TABLE events ADD COLUMN reach BIGINT;
CREATE INDEX events_late ON events (room_id, position) WHERE reach IS NOT NULL;

UPDATE events SET after_gap = TRUE WHERE position > 0 AND nid IN (SELECT referrer FROM backward_edges);
UPDATE events SET reach = late.reach FROM (
    SELECT nid, depth, MAX(depth) OVER (
        PARTITION BY room_id ORDER BY position ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
    ) AS reach FROM events WHERE position > 0
) late WHERE late.nid = events.nid AND late.depth < late.reach;
