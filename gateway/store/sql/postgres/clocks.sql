-- name: clock_report
INSERT INTO clocks (name, at, ahead, doubt, told, since) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (name) DO UPDATE SET
    at = excluded.at, ahead = excluded.ahead, doubt = excluded.doubt, told = excluded.told,
    since = excluded.since;

-- name: clocks_old
DELETE FROM clocks WHERE name IN (
    SELECT name FROM clocks WHERE at < $1 AND doubt <> 'contradicted' ORDER BY name FOR UPDATE SKIP LOCKED
);

-- name: clocks_all
SELECT name, at, ahead, doubt, told, since FROM clocks ORDER BY name;

-- name: clock_leave
DELETE FROM clocks WHERE name = $1;

-- What a process dated by a clock that was ahead, before it was killed: it came now at the latest.
-- name: recall_future
UPDATE queue SET due_at = $1, deadline = deadline - (first_seen - $1), first_seen = $1
WHERE id IN (
    SELECT id FROM queue WHERE first_seen > $2 AND lease_id IS NULL
    ORDER BY id FOR UPDATE SKIP LOCKED
);

-- What it put off for longer than it is fresh.
-- name: recall_due
UPDATE queue SET due_at = $1
WHERE id IN (
    SELECT id FROM queue WHERE due_at > deadline + $2 AND lease_id IS NULL
    ORDER BY id FOR UPDATE SKIP LOCKED
);
