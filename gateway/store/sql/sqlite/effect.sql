-- name: effect_mark
SELECT begins, ends, counted_at, settled FROM effect_marks
WHERE what = :what ORDER BY begins DESC LIMIT 1;

-- The days that may still be counted anew.
-- name: effect_open
SELECT begins, ends, counted_at, settled FROM effect_marks
WHERE what = :what AND NOT settled ORDER BY begins;

-- name: effect_mark_put
INSERT INTO effect_marks (what, begins, ends, counted_at, settled)
VALUES (:what, :begins, :ends, :counted_at, :settled)
ON CONFLICT (what, begins) DO UPDATE SET
    counted_at = excluded.counted_at, settled = excluded.settled;

-- name: effect_is_marked
SELECT EXISTS (SELECT 1 FROM effect_marks WHERE what = :what AND begins = :begins);

-- name: effect_first_event
SELECT min(received_at) FROM events;

-- name: effect_events
SELECT received_at, event_id, source, notifications + rejected FROM events
WHERE received_at >= :begins AND received_at < :ends AND (received_at, event_id) > (:at, :event_id)
  AND notifications > 0
ORDER BY received_at, event_id LIMIT :limit;

-- The deliveries of some events with their phones, and which kinds of receipts there are.
-- name: effect_pushed
SELECT d.event_id, d.item_index, d.device_id, d.state, d.reason, d.user_id, d.custom_id, d.app,
       v.platform, v.user_id, v.custom_id, v.measure, v.can,
       (SELECT group_concat(r.kind) FROM receipts r
        WHERE r.event_id = d.event_id AND r.item_index = d.item_index AND r.device_id = d.device_id)
FROM json_each(:events) asked CROSS JOIN deliveries d
LEFT JOIN devices v ON v.id = d.device_id
WHERE d.event_id = asked.value AND d.item_index BETWEEN :low AND :high
ORDER BY d.event_id, d.item_index, d.device_id;

-- Once a day was counted, its people stay as they are; what their phones told may still grow.
-- name: effect_days_put
INSERT INTO effect_days (
    day, experiment, app, platform, source, people, taken, can_tell, shown, opened
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, experiment, app, platform, source) DO NOTHING;

-- name: effect_days_grow
UPDATE effect_days SET
    shown = min(people, max(shown, :shown)), opened = min(people, max(opened, :opened))
WHERE day = :day AND experiment = :experiment AND app = :app AND platform = :platform
  AND source = :source;

-- name: effect_reasons_put
INSERT INTO effect_reasons (day, experiment, app, platform, source, reason, people)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (day, experiment, app, platform, source, reason) DO NOTHING;

-- name: effect_phones_put
INSERT INTO effect_phones (day, app, platform, what, phones) VALUES (?, ?, ?, ?, ?)
ON CONFLICT (day, app, platform, what) DO NOTHING;

-- name: effect_phones_count
SELECT app, platform,
       sum(registered_at >= :begins AND registered_at < :ends),
       sum(state = 'pruned' AND state_at >= :begins AND state_at < :ends),
       sum(state = 'active'),
       sum(state = 'active' AND notifications IS 'denied'),
       sum(state = 'active' AND max(last_seen_at, heard_at) < :silent_before)
FROM devices GROUP BY app, platform;

-- name: effect_marks_between
SELECT begins, ends, counted_at, settled FROM effect_marks
WHERE what = :what AND begins >= :since AND ends <= :until ORDER BY begins;

-- name: effect_days_between
SELECT day, experiment, app, platform, source, people, taken, can_tell, shown, opened
FROM effect_days WHERE day >= :since AND day < :until AND experiment = :experiment
ORDER BY day, app, platform, source;

-- name: effect_reasons_between
SELECT day, experiment, app, platform, source, reason, people
FROM effect_reasons WHERE day >= :since AND day < :until AND experiment = :experiment
ORDER BY day, app, platform, source, reason;

-- name: effect_phones_between
SELECT day, app, platform, what, phones FROM effect_phones
WHERE day >= :since AND day < :until ORDER BY day, app, platform, what;
