-- What waits for each lane, in one pass over the queue: every relay asks each second.
-- name: lanes_all
SELECT app, provider, held, reason, hint, held_at, brake_at,
       (SELECT count(*) FROM held_removals h WHERE h.app = l.app AND h.provider = l.provider),
       rate, errors, greatest(waiting, coalesce(size, 0)), seen_at
FROM lanes l LEFT JOIN (
    SELECT lane, sum(size) AS size FROM queue WHERE lane <> '' GROUP BY lane
) queued ON queued.lane = l.app || '/' || l.provider
ORDER BY app, provider;

-- name: lane_hold
INSERT INTO lanes (app, provider, held, reason, hint, held_at) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (app, provider) DO UPDATE SET
    held = excluded.held, reason = excluded.reason, hint = excluded.hint,
    held_at = excluded.held_at
WHERE lanes.held <> 'operator' OR excluded.held = 'operator';

-- name: lane_resume
UPDATE lanes SET held = '', reason = '', hint = '', held_at = NULL
WHERE app = $1 AND provider = $2 AND held <> '' AND ($3 = 'operator' OR held <> 'operator');

-- name: lane_trip
INSERT INTO lanes (app, provider, brake_at) VALUES ($1, $2, $3)
ON CONFLICT (app, provider) DO UPDATE SET brake_at = coalesce(lanes.brake_at, excluded.brake_at);

-- name: lane_release
UPDATE lanes SET brake_at = NULL WHERE app = $1 AND provider = $2;

-- name: lane_report
INSERT INTO lanes (app, provider, rate, errors, waiting, seen_at)
SELECT * FROM unnest($1::text[], $2::text[], $3::float8[], $4::float8[], $5::int[], $6::float8[])
    AS told (app, provider, rate, errors, waiting, seen_at)
ORDER BY app, provider
ON CONFLICT (app, provider) DO UPDATE SET
    rate = excluded.rate, errors = excluded.errors, waiting = excluded.waiting,
    seen_at = excluded.seen_at;

-- name: held_insert
INSERT INTO held_removals (device_id, address, seen_at, app, provider, state, reason)
SELECT * FROM unnest(
    $1::bigint[], $2::text[], $3::float8[], $4::text[], $5::text[], $6::text[], $7::text[]
) AS held (device_id, address, seen_at, app, provider, state, reason)
-- one that is gone was erased or deleted: nothing of it is kept
WHERE EXISTS (SELECT 1 FROM devices WHERE devices.id = held.device_id)
ORDER BY device_id
ON CONFLICT (device_id) DO UPDATE SET
    address = excluded.address, seen_at = excluded.seen_at, state = excluded.state,
    reason = excluded.reason;

-- name: held_of_lane
SELECT device_id, address, seen_at, app, provider, state, reason FROM held_removals
WHERE app = $1 AND provider = $2 ORDER BY device_id FOR UPDATE;

-- name: held_delete
DELETE FROM held_removals WHERE app = $1 AND provider = $2 AND device_id = ANY($3::bigint[]);
