-- name: queue_insert
INSERT INTO queue (
    event_id, number, lane, part, first_seen, deadline, due_at, tries, size, items, day
)
SELECT event_id, number, lane, part, first_seen, deadline, due_at, 0, size, items, day FROM unnest(
    $1::text[], $2::int[], $3::text[], $4::text[], $5::float8[], $6::float8[], $7::float8[],
    $8::int[], $9::bytea[], $10::int[]
) AS given (event_id, number, lane, part, first_seen, deadline, due_at, size, items, day);

-- SKIP LOCKED: what another replica is just taking is not waited for. An array, and no join: the
-- planner takes a limit that it does not know for a tenth of the table, and would read all of it.
-- What two claims in a row came to no end with is left to those below: see core/suspects.py.
-- What is due, and until when a lease lasts, goes by the server's clock, which all replicas share;
-- a test gives its own time instead (here $6).
-- name: queue_claim
UPDATE queue SET
    lease_id = $4,
    due_at = coalesce($6::float8, extract(epoch FROM statement_timestamp())::float8) + $5::float8,
    tries = tries + 1, alone = 0, claimed_at = $1
WHERE id = ANY(ARRAY(
    SELECT id FROM queue
    WHERE due_at <= coalesce($6::float8, extract(epoch FROM statement_timestamp())::float8)
      AND tries < 2 AND (
        lane = '' OR deadline <= $1 OR NOT $2::text[] && ARRAY[lane, lane || '/' || part]
    )
    ORDER BY due_at, id LIMIT $3 FOR UPDATE SKIP LOCKED
))
RETURNING id, event_id, number, lane, part, first_seen, deadline, items, tries, day;

-- The suspect that is tried next; a look, which locks nothing. (`tries >= 2` is what its index has.)
-- name: queue_suspect
SELECT id FROM queue
WHERE tries >= 2
  AND due_at <= coalesce($3::float8, extract(epoch FROM statement_timestamp())::float8) AND (
        lane = '' OR deadline <= $1 OR NOT $2::text[] && ARRAY[lane, lane || '/' || part]
    )
ORDER BY lone_ends + alone, due_at, id LIMIT 1;

-- name: queue_take_suspect
SELECT id, tries, lone_ends, alone, claimed_at FROM queue
WHERE tries >= 2
  AND due_at <= coalesce($3::float8, extract(epoch FROM statement_timestamp())::float8) AND (
        lane = '' OR deadline <= $1 OR NOT $2::text[] && ARRAY[lane, lane || '/' || part]
    )
ORDER BY lone_ends + alone, due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED;

-- name: queue_try
UPDATE queue
SET lease_id = $2,
    due_at = coalesce($8::float8, extract(epoch FROM statement_timestamp())::float8) + $3::float8,
    tries = $4, lone_ends = $5, alone = $6, claimed_at = $7
WHERE id = $1
RETURNING id, event_id, number, lane, part, first_seen, deadline, items, tries, day;

-- name: queue_absolve
UPDATE queue SET tries = 0, lone_ends = 0, alone = 0 WHERE id = $1 AND lease_id = $2;

-- The chunks that may hold deliveries of another one: of its number, and replays, which have none.
-- name: queue_beside
SELECT items FROM queue
WHERE event_id = $1 AND id <> $2 AND (number = $3 OR number < 0 OR $3 < 0);

-- Back for a while, neither tried nor on trial: for a replica that reads it.
-- name: queue_leave
UPDATE queue SET lease_id = NULL, due_at = $3, tries = greatest(tries - 1, 0), alone = 0
WHERE id = $1 AND lease_id = $2;

-- Returns the leases that were still held; locked in the order of their ids. Who prolongs a lease
-- lives on. How a trial ends is said by `queue_absolve`.
-- name: queue_extend
UPDATE queue SET
    due_at = coalesce($4::float8, extract(epoch FROM statement_timestamp())::float8) + $3::float8,
    tries = CASE WHEN alone = 1 THEN tries ELSE 0 END
WHERE id IN (
    SELECT q.id FROM queue q
    JOIN unnest($1::bigint[], $2::text[]) AS held (id, lease_id)
        ON q.id = held.id AND q.lease_id = held.lease_id
    ORDER BY q.id FOR UPDATE OF q
)
RETURNING id, lease_id;

-- What a process claimed and did not settle, by the beginning of its leases' ids. It ended in
-- order, so that was neither try nor trial.
-- name: queue_let_go
UPDATE queue SET
    lease_id = NULL, due_at = coalesce($2::float8, extract(epoch FROM statement_timestamp())::float8),
    tries = greatest(tries - 1, 0), alone = 0
WHERE starts_with(lease_id, $1);

-- Those of these leases that are not lost. A claim skips what is locked, so they are not until the
-- end of the transaction either.
-- name: queue_held
SELECT q.id, q.lease_id FROM queue q
JOIN unnest($1::bigint[], $2::text[]) AS held (id, lease_id)
    ON q.id = held.id AND q.lease_id = held.lease_id
ORDER BY q.id FOR SHARE OF q;

-- name: queue_settle
DELETE FROM queue WHERE id = $1 AND lease_id = $2;

-- The first of all that are due, whatever it waits for; what is in work stays under its lease. SKIP
-- LOCKED: it is asked again.
-- name: queue_hasten
UPDATE queue SET
    lane = '', part = '', due_at = CASE WHEN lease_id IS NULL THEN 0 ELSE due_at END
WHERE id = ANY(ARRAY(
    SELECT id FROM queue
    WHERE event_id = ANY($1::text[]) AND (lane <> '' OR (lease_id IS NULL AND due_at > 0))
    ORDER BY id FOR UPDATE SKIP LOCKED
))
RETURNING id;

-- name: queue_depth
SELECT coalesce(sum(size), 0)::bigint, min(first_seen) FROM queue;
