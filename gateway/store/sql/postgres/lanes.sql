-- name: lanes_all
SELECT app, provider, held, reason, hint, held_at, resumed_at, brake_at,
       (SELECT count(*) FROM held_removals h WHERE h.app = l.app AND h.provider = l.provider),
       rate, quiet_until, quiet_reason, errors, waiting, seen_at
FROM lanes l ORDER BY app, provider;

-- name: lane_parts_all
SELECT app, provider, part, held, reason, hint, held_at, resumed_at, trouble, trouble_reason,
       trouble_hint, trouble_at, errors, waiting, seen_at
FROM lane_parts ORDER BY app, provider, part;

-- What waits for each lane and part, in one pass over the queue: every relay asks each second.
-- name: lanes_queued
SELECT lane, part, sum(size)::bigint FROM queue WHERE lane <> '' GROUP BY lane, part;

-- name: lane_hold
INSERT INTO lanes (app, provider, held, reason, hint, held_at)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (app, provider) DO UPDATE SET
    held = excluded.held, reason = excluded.reason, hint = excluded.hint,
    held_at = excluded.held_at
WHERE lanes.held <> 'operator' OR excluded.held = 'operator';

-- A part is shown with its lane: so there is a row of the lane, too.
-- name: lane_known
INSERT INTO lanes (app, provider) VALUES ($1, $2) ON CONFLICT DO NOTHING;

-- Why a person paused something, where it may name somebody.
-- name: lane_reasons
SELECT app, provider, reason FROM lanes
WHERE held = 'operator' AND (strpos(reason, $1) > 0 OR strpos(reason, $2) > 0)
ORDER BY app, provider
FOR UPDATE;

-- name: part_reasons
SELECT app, provider, part, reason FROM lane_parts
WHERE held = 'operator' AND (strpos(reason, $1) > 0 OR strpos(reason, $2) > 0)
ORDER BY app, provider, part
FOR UPDATE;

-- name: lane_set_reason
UPDATE lanes SET reason = $3 WHERE app = $1 AND provider = $2;

-- name: part_set_reason
UPDATE lane_parts SET reason = $4 WHERE app = $1 AND provider = $2 AND part = $3;

-- name: part_hold
INSERT INTO lane_parts (app, provider, part, held, reason, hint, held_at)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (app, provider, part) DO UPDATE SET
    held = excluded.held, reason = excluded.reason, hint = excluded.hint,
    held_at = excluded.held_at
WHERE lane_parts.held <> 'operator' OR excluded.held = 'operator';

-- name: lane_resume
UPDATE lanes SET held = '', reason = '', hint = '', held_at = NULL
WHERE app = $1 AND provider = $2 AND held <> ''
  AND ($3 = 'operator' OR held <> 'operator');

-- name: part_resume
UPDATE lane_parts SET held = '', reason = '', hint = '', held_at = NULL
WHERE app = $1 AND provider = $2 AND ($3 = '' OR part = $3) AND held <> ''
  AND ($4 = 'operator' OR held <> 'operator');

-- What single targets are accused of: a relay that is told of the person's word forgets it, too.
-- name: part_acquit
UPDATE lane_parts SET trouble = '', trouble_reason = '', trouble_hint = '', trouble_at = NULL
WHERE app = $1 AND provider = $2 AND ($3 = '' OR part = $3)
  AND trouble = 'accused';

-- A person's word, whether anything was held or not. The silence that a vendor asked for ends, too.
-- name: lane_resumed
UPDATE lanes SET resumed_at = $4
WHERE app = $1 AND provider = $2 AND $3 = '';

-- name: part_resumed
UPDATE lane_parts SET resumed_at = $4
WHERE app = $1 AND provider = $2 AND part = $3;

-- name: lane_unquiet
UPDATE lanes SET quiet_until = NULL
WHERE app = $1 AND provider = $2 AND quiet_until > $3;

-- name: lane_trip
INSERT INTO lanes (app, provider, brake_at) VALUES ($1, $2, $3)
ON CONFLICT (app, provider) DO UPDATE SET brake_at = coalesce(lanes.brake_at, excluded.brake_at);

-- name: lane_release
UPDATE lanes SET brake_at = NULL WHERE app = $1 AND provider = $2;

-- name: lane_lock
SELECT brake_at FROM lanes WHERE app = $1 AND provider = $2 FOR UPDATE;

-- What went within the last $3 seconds, and how many devices there were then; what is older goes.
-- name: brake_window
WITH old AS (
    DELETE FROM brake_window
    WHERE app = $1 AND provider = $2
      AND at <= extract(epoch FROM clock_timestamp()) - $3::float8
)
SELECT coalesce(sum(gone), 0)::bigint, coalesce((array_agg(devices ORDER BY at))[1], 0)
FROM brake_window
WHERE app = $1 AND provider = $2 AND at > extract(epoch FROM clock_timestamp()) - $3::float8;

-- By the second, rounded up: so few rows, and none leaves the window too soon.
-- name: brake_count
INSERT INTO brake_window (app, provider, at, gone, devices)
VALUES ($1, $2, ceil(extract(epoch FROM clock_timestamp())), $3, $4)
ON CONFLICT (app, provider, at) DO UPDATE SET gone = brake_window.gone + excluded.gone;

-- name: brake_clear
DELETE FROM brake_window WHERE app = $1 AND provider = $2;

-- name: lane_report
INSERT INTO lanes (app, provider, rate, quiet_until, quiet_reason, errors, waiting, seen_at)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::float8[], $4::float8[], $5::text[], $6::float8[], $7::int[],
    $8::float8[]
) AS told (app, provider, rate, quiet_until, quiet_reason, errors, waiting, seen_at)
ORDER BY app, provider
ON CONFLICT (app, provider) DO UPDATE SET
    rate = excluded.rate, quiet_until = excluded.quiet_until,
    quiet_reason = excluded.quiet_reason, errors = excluded.errors,
    waiting = excluded.waiting, seen_at = excluded.seen_at;

-- name: part_report
INSERT INTO lane_parts (
    app, provider, part, trouble, trouble_reason, trouble_hint, trouble_at, errors, waiting, seen_at
)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::float8[],
    $8::float8[], $9::int[], $10::float8[]
) AS told (
    app, provider, part, trouble, trouble_reason, trouble_hint, trouble_at, errors, waiting, seen_at
)
ORDER BY app, provider, part
ON CONFLICT (app, provider, part) DO UPDATE SET
    trouble = excluded.trouble, trouble_reason = excluded.trouble_reason,
    trouble_hint = excluded.trouble_hint, trouble_at = excluded.trouble_at,
    errors = excluded.errors, waiting = excluded.waiting, seen_at = excluded.seen_at;

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
