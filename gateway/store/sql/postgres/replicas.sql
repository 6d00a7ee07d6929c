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
    INSERT INTO replicas (replica, role, seen_at) VALUES ($1, $2, clock_timestamp())
    ON CONFLICT (replica) DO UPDATE SET role = excluded.role, seen_at = excluded.seen_at
)
SELECT count(*) FROM replicas
WHERE replica <> $1 AND role <> 'ingest'
  AND seen_at > clock_timestamp() - make_interval(secs => $3);

-- name: replica_leave
DELETE FROM replicas WHERE replica = $1;
