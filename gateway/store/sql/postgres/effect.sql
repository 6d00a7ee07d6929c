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

-- Those who entered on a day, and who of them had an outcome: within the window, and in as much time
-- before. An event of something that the person had completed already is none.
-- name: effect_entered
SELECT m.app, m.platform, m.held, count(*),
count(*) FILTER (WHERE EXISTS (
    SELECT 1 FROM unnest($5::text[]) t CROSS JOIN learning_outcomes o
    WHERE o.person = m.person AND o.type = t
      AND o.occurred_at > m.since AND o.occurred_at <= m.since + $4
      AND NOT EXISTS (
          SELECT 1 FROM learning_outcomes e
          WHERE e.person = o.person AND e.type = o.type AND e.object = o.object AND e.object <> ''
            AND (e.occurred_at, e.seq) < (o.occurred_at, o.seq)
      )
)),
count(*) FILTER (WHERE EXISTS (
    SELECT 1 FROM unnest($6::text[]) t CROSS JOIN learning_outcomes o
    WHERE o.person = m.person AND o.type = t
      AND o.occurred_at > m.since AND o.occurred_at <= m.since + $4
      AND NOT EXISTS (
          SELECT 1 FROM learning_outcomes e
          WHERE e.person = o.person AND e.type = o.type AND e.object = o.object AND e.object <> ''
            AND (e.occurred_at, e.seq) < (o.occurred_at, o.seq)
      )
)),
count(*) FILTER (WHERE EXISTS (
    SELECT 1 FROM unnest($5::text[]) t CROSS JOIN learning_outcomes o
    WHERE o.person = m.person AND o.type = t
      AND o.occurred_at > m.since - $4 AND o.occurred_at <= m.since
      AND NOT EXISTS (
          SELECT 1 FROM learning_outcomes e
          WHERE e.person = o.person AND e.type = o.type AND e.object = o.object AND e.object <> ''
            AND (e.occurred_at, e.seq) < (o.occurred_at, o.seq)
      )
)),
count(*) FILTER (WHERE EXISTS (
    SELECT 1 FROM unnest($6::text[]) t CROSS JOIN learning_outcomes o
    WHERE o.person = m.person AND o.type = t
      AND o.occurred_at > m.since - $4 AND o.occurred_at <= m.since
      AND NOT EXISTS (
          SELECT 1 FROM learning_outcomes e
          WHERE e.person = o.person AND e.type = o.type AND e.object = o.object AND e.object <> ''
            AND (e.occurred_at, e.seq) < (o.occurred_at, o.seq)
      )
))
FROM experiment_members m
WHERE m.experiment = $1 AND m.since >= $2 AND m.since < $3
GROUP BY m.app, m.platform, m.held ORDER BY m.app, m.platform, m.held;

-- name: effect_members_on
SELECT person FROM experiment_members
WHERE experiment = $1 AND held = 0 AND since >= $2 AND since < $3;

-- name: effect_first_entry
SELECT min(since) FROM experiment_members WHERE experiment = $1;

-- name: effect_terms_put
INSERT INTO effect_terms (experiment, terms) VALUES ($1, $2)
ON CONFLICT (experiment) DO UPDATE SET terms = excluded.terms;

-- name: effect_terms_all
SELECT experiment, terms FROM effect_terms ORDER BY experiment;

-- name: effect_outcomes_put
INSERT INTO effect_outcomes (
    experiment, day, app, platform, held, people, completed, began, completed_before, began_before,
    completed_late, began_late
)
SELECT *, 0, 0 FROM unnest(
    $1::text[], $2::float8[], $3::text[], $4::text[], $5::int[], $6::int[], $7::int[], $8::int[],
    $9::int[], $10::int[]
)
ON CONFLICT (experiment, day, app, platform, held) DO NOTHING;

-- What came later: more than was known when the day was settled.
-- name: effect_outcomes_late
UPDATE effect_outcomes SET
    completed_late = greatest(completed_late, least(people, $6) - completed),
    began_late = greatest(began_late, least(people, $7) - began)
WHERE experiment = $1 AND day = $2 AND app = $3 AND platform = $4 AND held = $5;

-- name: effect_outcomes_of
SELECT o.day, k.ends, o.app, o.platform, o.held, o.people, o.completed, o.began,
       o.completed_before, o.began_before, o.completed_late, o.began_late
FROM effect_marks k JOIN effect_outcomes o ON o.experiment = k.what AND o.day = k.begins
WHERE k.what = $1 ORDER BY o.day, o.app, o.platform, o.held;

-- name: erase_members
DELETE FROM experiment_members WHERE person IN ($1, $2) AND person <> '';

-- name: erase_outcomes
DELETE FROM learning_outcomes WHERE person IN ($1, $2) AND person <> '';

-- name: held_members
SELECT m.experiment, m.held, m.since, m.until, EXISTS (
    SELECT 1 FROM experiment_also a WHERE a.experiment = m.experiment AND a.person = m.person
)
FROM experiment_members m
WHERE m.person IN ($1, $2) AND m.person <> '' ORDER BY m.since, m.experiment;

-- name: held_outcomes
SELECT type, occurred_at, object FROM learning_outcomes
WHERE person IN ($1, $2) AND person <> '' ORDER BY occurred_at, type;
