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
SELECT lane, part, sum(size) FROM queue WHERE lane <> '' GROUP BY lane, part;

-- name: lane_hold
INSERT INTO lanes (app, provider, held, reason, hint, held_at)
VALUES (:app, :provider, :by, :reason, :hint, :now)
ON CONFLICT (app, provider) DO UPDATE SET
    held = excluded.held, reason = excluded.reason, hint = excluded.hint,
    held_at = excluded.held_at
WHERE lanes.held <> 'operator' OR excluded.held = 'operator';

-- A part is shown with its lane: so there is a row of the lane, too.
-- name: lane_known
INSERT INTO lanes (app, provider) VALUES (:app, :provider) ON CONFLICT DO NOTHING;

-- Why a person paused something, where it may name somebody.
-- name: lane_reasons
SELECT app, provider, reason FROM lanes
WHERE held = 'operator' AND (instr(reason, :user_id) > 0 OR instr(reason, :custom_id) > 0);

-- name: part_reasons
SELECT app, provider, part, reason FROM lane_parts
WHERE held = 'operator' AND (instr(reason, :user_id) > 0 OR instr(reason, :custom_id) > 0);

-- name: lane_set_reason
UPDATE lanes SET reason = ? WHERE app = ? AND provider = ?;

-- name: part_set_reason
UPDATE lane_parts SET reason = ? WHERE app = ? AND provider = ? AND part = ?;

-- name: part_hold
INSERT INTO lane_parts (app, provider, part, held, reason, hint, held_at)
VALUES (:app, :provider, :part, :by, :reason, :hint, :now)
ON CONFLICT (app, provider, part) DO UPDATE SET
    held = excluded.held, reason = excluded.reason, hint = excluded.hint,
    held_at = excluded.held_at
WHERE lane_parts.held <> 'operator' OR excluded.held = 'operator';

-- name: lane_resume
UPDATE lanes SET held = '', reason = '', hint = '', held_at = NULL
WHERE app = :app AND provider = :provider AND held <> ''
  AND (:by = 'operator' OR held <> 'operator');

-- name: part_resume
UPDATE lane_parts SET held = '', reason = '', hint = '', held_at = NULL
WHERE app = :app AND provider = :provider AND (:part = '' OR part = :part) AND held <> ''
  AND (:by = 'operator' OR held <> 'operator');

-- What single targets are accused of: a relay that is told of the person's word forgets it, too.
-- name: part_acquit
UPDATE lane_parts SET trouble = '', trouble_reason = '', trouble_hint = '', trouble_at = NULL
WHERE app = :app AND provider = :provider AND (:part = '' OR part = :part)
  AND trouble = 'accused';

-- A person's word, whether anything was held or not. The silence that a vendor asked for ends, too.
-- name: lane_resumed
UPDATE lanes SET resumed_at = :now
WHERE app = :app AND provider = :provider AND :part = '';

-- name: part_resumed
UPDATE lane_parts SET resumed_at = :now
WHERE app = :app AND provider = :provider AND part = :part;

-- name: lane_unquiet
UPDATE lanes SET quiet_until = NULL
WHERE app = :app AND provider = :provider AND quiet_until > :now;

-- name: lane_trip
INSERT INTO lanes (app, provider, brake_at) VALUES (:app, :provider, :now)
ON CONFLICT (app, provider) DO UPDATE SET brake_at = coalesce(lanes.brake_at, excluded.brake_at);

-- name: lane_release
UPDATE lanes SET brake_at = NULL WHERE app = :app AND provider = :provider;

-- name: lane_is_braked
SELECT EXISTS (
    SELECT 1 FROM lanes WHERE app = :app AND provider = :provider AND brake_at IS NOT NULL
);

-- What went since then, and how many devices there were when the first did.
-- name: brake_window
SELECT coalesce(sum(gone), 0),
       coalesce((SELECT devices FROM brake_window
                 WHERE app = :app AND provider = :provider AND at > :since ORDER BY at LIMIT 1), 0)
FROM brake_window WHERE app = :app AND provider = :provider AND at > :since;

-- name: brake_forget
DELETE FROM brake_window WHERE app = :app AND provider = :provider AND at <= :since;

-- By the second, rounded up: so few rows, and none leaves the window too soon.
-- name: brake_count
INSERT INTO brake_window (app, provider, at, gone, devices)
VALUES (:app, :provider, CAST(:now AS INTEGER) + 1.0, :gone, :devices)
ON CONFLICT (app, provider, at) DO UPDATE SET gone = gone + excluded.gone;

-- name: brake_clear
DELETE FROM brake_window WHERE app = :app AND provider = :provider;

-- name: lane_report
INSERT INTO lanes (app, provider, rate, quiet_until, quiet_reason, errors, waiting, seen_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (app, provider) DO UPDATE SET
    rate = excluded.rate, quiet_until = excluded.quiet_until,
    quiet_reason = excluded.quiet_reason, errors = excluded.errors,
    waiting = excluded.waiting, seen_at = excluded.seen_at;

-- name: part_report
INSERT INTO lane_parts (
    app, provider, part, trouble, trouble_reason, trouble_hint, trouble_at, errors, waiting, seen_at
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (app, provider, part) DO UPDATE SET
    trouble = excluded.trouble, trouble_reason = excluded.trouble_reason,
    trouble_hint = excluded.trouble_hint, trouble_at = excluded.trouble_at,
    errors = excluded.errors, waiting = excluded.waiting, seen_at = excluded.seen_at;

-- name: held_insert
INSERT INTO held_removals (device_id, address, seen_at, app, provider, state, reason)
SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7
-- one that is gone was erased or deleted: nothing of it is kept
WHERE EXISTS (SELECT 1 FROM devices WHERE id = ?1)
ON CONFLICT (device_id) DO UPDATE SET
    address = excluded.address, seen_at = excluded.seen_at, state = excluded.state,
    reason = excluded.reason;

-- name: held_of_lane
SELECT device_id, address, seen_at, app, provider, state, reason FROM held_removals
WHERE app = :app AND provider = :provider;

-- name: held_delete
DELETE FROM held_removals WHERE app = :app AND provider = :provider;
