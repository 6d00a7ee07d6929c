-- name: queue_insert
INSERT INTO queue (
    event_id, number, lane, part, first_seen, deadline, due_at, tries, size, items, day
) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?, ?);

-- What two claims in a row came to no end with is left to those below: see core/suspects.py.
-- name: queue_claim
UPDATE queue
SET lease_id = :lease_id, due_at = :until, tries = tries + 1, alone = 0, claimed_at = :now
WHERE id IN (
    SELECT id FROM queue
    WHERE due_at <= :now AND tries < 2
      AND (lane = '' OR deadline <= :now
           OR NOT EXISTS (SELECT 1 FROM json_each(:skip_lanes)
                          WHERE value IN (lane, lane || '/' || part)))
    ORDER BY due_at, id LIMIT :limit
)
RETURNING id, event_id, number, lane, part, first_seen, deadline, items, tries, day;

-- The suspect that is tried next. (`tries >= 2` is what its index has.)
-- name: queue_suspect
SELECT id, tries, lone_ends, alone, claimed_at FROM queue
WHERE tries >= 2 AND due_at <= :now
  AND (lane = '' OR deadline <= :now
       OR NOT EXISTS (SELECT 1 FROM json_each(:skip_lanes)
                      WHERE value IN (lane, lane || '/' || part)))
ORDER BY lone_ends + alone, due_at, id LIMIT 1;

-- name: queue_try
UPDATE queue
SET lease_id = :lease_id, due_at = :until, tries = :tries, lone_ends = :lone_ends, alone = :alone,
    claimed_at = :claimed_at
WHERE id = :id
RETURNING id, event_id, number, lane, part, first_seen, deadline, items, tries, day;

-- name: queue_absolve
UPDATE queue SET tries = 0, lone_ends = 0, alone = 0 WHERE id = ? AND lease_id = ?;

-- The chunks that may hold deliveries of another one: of its number, and replays, which have none.
-- name: queue_beside
SELECT items FROM queue
WHERE event_id = :event_id AND id <> :id AND (number = :number OR number < 0 OR :number < 0);

-- Back for a while, neither tried nor on trial: for a replica that reads it.
-- name: queue_leave
UPDATE queue SET lease_id = NULL, due_at = :due_at, tries = max(tries - 1, 0), alone = 0
WHERE id = :id AND lease_id = :lease_id;

-- Who prolongs a lease lives on. How a trial ends is said by `queue_absolve`.
-- name: queue_extend
UPDATE queue SET due_at = ?, tries = CASE WHEN alone = 1 THEN tries ELSE 0 END
WHERE id = ? AND lease_id = ?;

-- What a process claimed and did not settle, by the beginning of its leases' ids. It ended in
-- order, so that was neither try nor trial.
-- name: queue_let_go
UPDATE queue SET lease_id = NULL, due_at = :now, tries = max(tries - 1, 0), alone = 0
WHERE substr(lease_id, 1, length(:mine)) = :mine;

-- name: queue_held
SELECT 1 FROM queue WHERE id = ? AND lease_id = ?;

-- name: queue_settle
DELETE FROM queue WHERE id = :id AND lease_id = :lease_id;

-- What the dead had claimed. Who may be alive is in `relays`; a lease's id begins with its relay's name.
-- name: queue_rescue
UPDATE queue SET due_at = min(due_at, :now), lease_id = NULL
WHERE lease_id IS NOT NULL
  AND substr(lease_id, 1, instr(lease_id, '-') - 1) NOT IN (SELECT name FROM relays);

-- The first of all that are due, whatever it waits for; what is in work stays under its lease.
-- name: queue_hasten
UPDATE queue SET lane = '', part = '', due_at = iif(lease_id IS NULL, 0, due_at)
WHERE event_id IN (SELECT value FROM json_each(:events))
  AND (lane <> '' OR (lease_id IS NULL AND due_at > 0));

-- name: queue_may_hasten
SELECT EXISTS (
    SELECT 1 FROM queue WHERE event_id IN (SELECT value FROM json_each(:events))
      AND (lane <> '' OR (lease_id IS NULL AND due_at > 0))
);

-- name: queue_depth
SELECT coalesce(sum(size), 0), min(first_seen) FROM queue;
