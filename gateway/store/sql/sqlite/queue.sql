-- name: queue_insert
INSERT INTO queue (event_id, number, lane, first_seen, deadline, due_at, tries, size, items, day)
VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?, ?);

-- name: queue_claim
UPDATE queue SET lease_id = :lease_id, due_at = :until, tries = tries + 1
WHERE id IN (
    SELECT id FROM queue
    WHERE due_at <= :now
      AND (lane = '' OR deadline <= :now
           OR lane NOT IN (SELECT value FROM json_each(:skip_lanes)))
    ORDER BY due_at, id LIMIT :limit
)
RETURNING id, event_id, number, lane, first_seen, deadline, items, tries, day;

-- The chunks that may hold deliveries of another one: of its number, and replays, which have none.
-- name: queue_beside
SELECT items FROM queue
WHERE event_id = :event_id AND id <> :id AND (number = :number OR number < 0 OR :number < 0);

-- Back for a while, untried: for a replica that reads it.
-- name: queue_leave
UPDATE queue SET lease_id = NULL, due_at = :due_at, tries = max(tries - 1, 0)
WHERE id = :id AND lease_id = :lease_id;

-- name: queue_extend
UPDATE queue SET due_at = ? WHERE id = ? AND lease_id = ?;

-- name: queue_settle
DELETE FROM queue WHERE id = :id AND lease_id = :lease_id;

-- name: queue_rescue
UPDATE queue SET due_at = :now, lease_id = NULL WHERE lease_id IS NOT NULL;

-- name: queue_depth
SELECT coalesce(sum(size), 0), min(first_seen) FROM queue;
