-- Columns in the order of `core.cancelling.Cancel`, here and below.
-- name: cancel_get
SELECT event_id, at, cancelled, taken, until, deadline, digest, replacement
FROM cancelled WHERE event_id = :event_id;

-- name: cancel_put
INSERT INTO cancelled (
    event_id, at, cancelled, taken, until, deadline, digest, replacement
) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (event_id) DO UPDATE SET
    digest = excluded.digest, replacement = excluded.replacement;

-- How many items have a row, how many of these wait and were never tried, how many pushes were taken
-- or may have been, and when the last one was.
-- name: cancel_counts
SELECT count(*), count(*) FILTER (WHERE waits AND tried = 0), coalesce(sum(taken), 0), max(taken_at)
FROM (
    SELECT max(state = 'pending') AS waits, max(attempts) AS tried,
           sum(state = 'delivered' OR vendor_id = '?') AS taken,
           max(iif(state = 'delivered' OR vendor_id = '?', at, NULL)) AS taken_at
    FROM deliveries WHERE event_id = :event_id GROUP BY item_index
);

-- name: cancel_among
SELECT event_id FROM cancelled WHERE event_id IN (SELECT value FROM json_each(:events));

-- (+: by the index of those that wait, not by their times.)
-- name: cancel_recent
SELECT event_id, at, cancelled, taken, until, deadline, digest, replacement
FROM cancelled WHERE at >= :since
UNION ALL
SELECT event_id, at, cancelled, taken, until, deadline, digest, replacement
FROM cancelled WHERE replacement IS NOT NULL AND +at < :since;

-- name: cancel_corrected
UPDATE cancelled SET replacement = NULL WHERE event_id = :event_id;

-- name: cancel_delete
DELETE FROM cancelled WHERE event_id = :event_id;
