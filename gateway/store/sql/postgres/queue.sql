-- name: queue_insert
INSERT INTO queue (event_id, number, lane, first_seen, deadline, due_at, tries, size, items, day)
SELECT event_id, number, lane, first_seen, deadline, due_at, 0, size, items, day FROM unnest(
    $1::text[], $2::int[], $3::text[], $4::float8[], $5::float8[], $6::float8[], $7::int[],
    $8::bytea[], $9::int[]
) AS given (event_id, number, lane, first_seen, deadline, due_at, size, items, day);

-- SKIP LOCKED: what another replica is just taking is not waited for. An array, and no join: the
-- planner takes a limit that it does not know for a tenth of the table, and would read all of it.
-- name: queue_claim
UPDATE queue SET lease_id = $4, due_at = $5, tries = tries + 1
WHERE id = ANY(ARRAY(
    SELECT id FROM queue
    WHERE due_at <= $1 AND (lane = '' OR deadline <= $1 OR lane <> ALL($2::text[]))
    ORDER BY due_at, id LIMIT $3 FOR UPDATE SKIP LOCKED
))
RETURNING id, event_id, number, lane, first_seen, deadline, items, tries, day;

-- The chunks that may hold deliveries of another one: of its number, and replays, which have none.
-- name: queue_beside
SELECT items FROM queue
WHERE event_id = $1 AND id <> $2 AND (number = $3 OR number < 0 OR $3 < 0);

-- Back for a while, untried: for a replica that reads it.
-- name: queue_leave
UPDATE queue SET lease_id = NULL, due_at = $3, tries = greatest(tries - 1, 0)
WHERE id = $1 AND lease_id = $2;

-- Returns the leases that were still held; locked in the order of their ids.
-- name: queue_extend
UPDATE queue SET due_at = $3 WHERE id IN (
    SELECT q.id FROM queue q
    JOIN unnest($1::bigint[], $2::text[]) AS held (id, lease_id)
        ON q.id = held.id AND q.lease_id = held.lease_id
    ORDER BY q.id FOR UPDATE OF q
)
RETURNING id, lease_id;

-- What a process claimed and did not settle, by the beginning of its leases' ids. It ended in
-- order, so that was no try.
-- name: queue_let_go
UPDATE queue SET lease_id = NULL, due_at = $2, tries = greatest(tries - 1, 0)
WHERE starts_with(lease_id, $1);

-- name: queue_settle
DELETE FROM queue WHERE id = $1 AND lease_id = $2;

-- name: queue_depth
SELECT coalesce(sum(size), 0)::bigint, min(first_seen) FROM queue;
