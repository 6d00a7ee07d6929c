-- name: effect_mark
SELECT begins, ends, counted_at, settled FROM effect_marks
WHERE what = $1 ORDER BY begins DESC LIMIT 1;

-- The days that may still be counted anew.
-- name: effect_open
SELECT begins, ends, counted_at, settled FROM effect_marks
WHERE what = $1 AND settled = 0 ORDER BY begins;

-- name: effect_mark_put
INSERT INTO effect_marks (what, begins, ends, counted_at, settled) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (what, begins) DO UPDATE SET
    counted_at = excluded.counted_at, settled = excluded.settled;

-- Two processes that count one day follow each other.
-- name: effect_alone
LOCK TABLE effect_marks IN SHARE ROW EXCLUSIVE MODE;

-- name: effect_is_marked
SELECT EXISTS (SELECT 1 FROM effect_marks WHERE what = $1 AND begins = $2);

-- name: effect_first_event
SELECT min(received_at) FROM events;

-- name: effect_events
SELECT received_at, event_id, source, notifications + rejected FROM events
WHERE received_at >= $1 AND received_at < $2 AND (received_at, event_id) > ($3, $4)
  AND notifications > 0
ORDER BY received_at, event_id LIMIT $5;

-- The deliveries of some events with their phones, and which kinds of receipts there are.
-- name: effect_pushed
SELECT d.event_id, d.item_index, d.device_id, d.state, d.reason, d.user_id, d.custom_id, d.app,
       v.platform, v.user_id, v.custom_id, v.measure, v.can,
       (SELECT string_agg(r.kind, ',') FROM receipts r
        WHERE r.event_id = d.event_id AND r.item_index = d.item_index AND r.device_id = d.device_id)
FROM deliveries d
LEFT JOIN devices v ON v.id = d.device_id
WHERE d.day = ANY($2::int[]) AND d.event_id = ANY($1::text[]) AND d.item_index BETWEEN $3 AND $4
ORDER BY d.event_id, d.item_index, d.device_id;

-- Once a day was counted, its people stay as they are; what their phones told may still grow.
-- name: effect_days_put
INSERT INTO effect_days (
    day, experiment, app, platform, source, people, taken, can_tell, shown, opened
)
SELECT * FROM unnest(
    $1::float8[], $2::text[], $3::text[], $4::text[], $5::text[], $6::int[], $7::int[], $8::int[],
    $9::int[], $10::int[]
)
ON CONFLICT (day, experiment, app, platform, source) DO NOTHING;

-- name: effect_days_grow
UPDATE effect_days SET
    shown = least(people, greatest(shown, $6)), opened = least(people, greatest(opened, $7))
WHERE day = $1 AND experiment = $2 AND app = $3 AND platform = $4 AND source = $5;

-- name: effect_reasons_put
INSERT INTO effect_reasons (day, experiment, app, platform, source, reason, people)
SELECT * FROM unnest(
    $1::float8[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::int[]
)
ON CONFLICT (day, experiment, app, platform, source, reason) DO NOTHING;

-- name: effect_phones_put
INSERT INTO effect_phones (day, app, platform, what, phones)
SELECT * FROM unnest($1::float8[], $2::text[], $3::text[], $4::text[], $5::int[])
ON CONFLICT (day, app, platform, what) DO NOTHING;

-- name: effect_phones_count
SELECT app, platform,
       count(*) FILTER (WHERE registered_at >= $1 AND registered_at < $2),
       count(*) FILTER (WHERE state = 'pruned' AND state_at >= $1 AND state_at < $2),
       count(*) FILTER (WHERE state = 'active'),
       count(*) FILTER (WHERE state = 'active' AND notifications = 'denied'),
       count(*) FILTER (WHERE state = 'active' AND greatest(last_seen_at, heard_at) < $3)
FROM devices GROUP BY app, platform;

-- name: effect_marks_between
SELECT begins, ends, counted_at, settled FROM effect_marks
WHERE what = $1 AND begins >= $2 AND ends <= $3 ORDER BY begins;

-- name: effect_days_between
SELECT day, experiment, app, platform, source, people, taken, can_tell, shown, opened
FROM effect_days WHERE day >= $1 AND day < $2 AND experiment = $3
ORDER BY day, app, platform, source;

-- name: effect_reasons_between
SELECT day, experiment, app, platform, source, reason, people
FROM effect_reasons WHERE day >= $1 AND day < $2 AND experiment = $3
ORDER BY day, app, platform, source, reason;

-- name: effect_phones_between
SELECT day, app, platform, what, phones FROM effect_phones
WHERE day >= $1 AND day < $2 ORDER BY day, app, platform, what;
