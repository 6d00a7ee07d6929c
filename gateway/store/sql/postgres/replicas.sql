-- How many others have a relay and were seen within $3 seconds, this one's word written first.
-- What was not seen for an hour is forgotten.
-- name: replica_beat
WITH gone AS (
    DELETE FROM replicas WHERE replica IN (
        SELECT replica FROM replicas
        WHERE seen_at < clock_timestamp() - interval '1 hour' AND replica <> $1
        ORDER BY replica FOR UPDATE SKIP LOCKED
    )
), mine AS (
    INSERT INTO replicas (replica, role, seen_at, reads, writes)
    VALUES ($1, $2, clock_timestamp(), $4, $5)
    ON CONFLICT (replica) DO UPDATE SET
        role = excluded.role, seen_at = excluded.seen_at, reads = excluded.reads,
        writes = excluded.writes
)
SELECT count(*) FILTER (
           WHERE role <> 'ingest' AND seen_at > clock_timestamp() - make_interval(secs => $3)
       ),
       min(reads), max(reads), extract(epoch FROM clock_timestamp())::float8
FROM replicas
WHERE replica <> $1 AND seen_at > clock_timestamp() - make_interval(secs => $6);

-- The least and the most that others read who were seen within $1 seconds.
-- name: replica_reading
SELECT min(reads), max(reads), extract(epoch FROM clock_timestamp())::float8 FROM replicas
WHERE seen_at > clock_timestamp() - make_interval(secs => $1);

-- name: replica_leave
DELETE FROM replicas WHERE replica = $1;
