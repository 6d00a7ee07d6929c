-- One cancels an event at a time: the next one sees what was answered.
-- name: cancel_lock
SELECT 1 FROM events WHERE event_id = $1 FOR NO KEY UPDATE;

-- Columns in the order of `core.cancelling.Cancel`, here and below.
-- name: cancel_get
SELECT event_id, at, cancelled, taken, until, deadline, digest, replacement
FROM cancelled WHERE event_id = $1;

-- name: cancel_put
INSERT INTO cancelled (
    event_id, at, cancelled, taken, until, deadline, digest, replacement
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (event_id) DO UPDATE SET
    digest = excluded.digest, replacement = excluded.replacement;

-- How many items have a row, how many of these wait and were never tried, how many pushes were taken
-- or may have been, and when the last one was.
-- name: cancel_counts
SELECT count(*), count(*) FILTER (WHERE waits AND tried = 0), coalesce(sum(taken), 0)::int,
       max(taken_at)
FROM (
    SELECT bool_or(state = 'pending') AS waits, max(attempts) AS tried,
           count(*) FILTER (WHERE state = 'delivered' OR vendor_id = '?') AS taken,
           max(at) FILTER (WHERE state = 'delivered' OR vendor_id = '?') AS taken_at
    FROM deliveries WHERE event_id = $1 GROUP BY item_index
) items;

-- What a broker holds back for so long that nobody has it in hand. A queue in this database lets all
-- go at once.
-- name: cancel_postponed
UPDATE deliveries SET state = 'cancelled', reason = $3, at = $4, next_at = NULL
WHERE event_id = $1 AND day = $2 AND state = 'pending' AND next_at > $5::float8
  AND NOT EXISTS (SELECT 1 FROM queue WHERE queue.event_id = $1);

-- name: cancel_among
SELECT event_id FROM cancelled WHERE event_id = ANY($1::text[]);

-- name: cancel_recent
SELECT event_id, at, cancelled, taken, until, deadline, digest, replacement
FROM cancelled WHERE at >= $1
UNION ALL
SELECT event_id, at, cancelled, taken, until, deadline, digest, replacement
FROM cancelled WHERE replacement IS NOT NULL AND at < $1;

-- name: cancel_corrected
UPDATE cancelled SET replacement = NULL WHERE event_id = $1;
