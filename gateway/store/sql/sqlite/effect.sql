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

-- Those who entered on a day, and who of them had an outcome: within the window, and in as much time
-- before. An event of something that the person had completed already is none.
-- name: effect_entered
SELECT m.app, m.platform, m.held, count(*),
sum(EXISTS (
    SELECT 1 FROM json_each(:completed) t CROSS JOIN learning_outcomes o
    WHERE o.person = m.person AND o.type = t.value
      AND o.occurred_at > m.since AND o.occurred_at <= m.since + :window
      AND NOT EXISTS (
          SELECT 1 FROM learning_outcomes e
          WHERE e.person = o.person AND e.type = o.type AND e.object = o.object AND e.object <> ''
            AND (e.occurred_at, e.seq) < (o.occurred_at, o.seq)
      )
)),
sum(EXISTS (
    SELECT 1 FROM json_each(:began) t CROSS JOIN learning_outcomes o
    WHERE o.person = m.person AND o.type = t.value
      AND o.occurred_at > m.since AND o.occurred_at <= m.since + :window
      AND NOT EXISTS (
          SELECT 1 FROM learning_outcomes e
          WHERE e.person = o.person AND e.type = o.type AND e.object = o.object AND e.object <> ''
            AND (e.occurred_at, e.seq) < (o.occurred_at, o.seq)
      )
)),
sum(EXISTS (
    SELECT 1 FROM json_each(:completed) t CROSS JOIN learning_outcomes o
    WHERE o.person = m.person AND o.type = t.value
      AND o.occurred_at > m.since - :window AND o.occurred_at <= m.since
      AND NOT EXISTS (
          SELECT 1 FROM learning_outcomes e
          WHERE e.person = o.person AND e.type = o.type AND e.object = o.object AND e.object <> ''
            AND (e.occurred_at, e.seq) < (o.occurred_at, o.seq)
      )
)),
sum(EXISTS (
    SELECT 1 FROM json_each(:began) t CROSS JOIN learning_outcomes o
    WHERE o.person = m.person AND o.type = t.value
      AND o.occurred_at > m.since - :window AND o.occurred_at <= m.since
      AND NOT EXISTS (
          SELECT 1 FROM learning_outcomes e
          WHERE e.person = o.person AND e.type = o.type AND e.object = o.object AND e.object <> ''
            AND (e.occurred_at, e.seq) < (o.occurred_at, o.seq)
      )
))
FROM experiment_members m
WHERE m.experiment = :experiment AND m.since >= :begins AND m.since < :ends
GROUP BY m.app, m.platform, m.held ORDER BY m.app, m.platform, m.held;

-- name: effect_members_on
SELECT person FROM experiment_members
WHERE experiment = :experiment AND held = 0 AND since >= :begins AND since < :ends;

-- name: effect_first_entry
SELECT min(since) FROM experiment_members WHERE experiment = :experiment;

-- name: effect_terms_put
INSERT INTO effect_terms (experiment, terms) VALUES (:experiment, :terms)
ON CONFLICT (experiment) DO UPDATE SET terms = excluded.terms;

-- name: effect_terms_all
SELECT experiment, terms FROM effect_terms ORDER BY experiment;

-- name: effect_outcomes_put
INSERT INTO effect_outcomes (
    experiment, day, app, platform, held, people, completed, began, completed_before, began_before,
    completed_late, began_late
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, 0)
ON CONFLICT (experiment, day, app, platform, held) DO NOTHING;

-- What came later: more than was known when the day was settled.
-- name: effect_outcomes_late
UPDATE effect_outcomes SET
    completed_late = max(completed_late, min(people, :completed) - completed),
    began_late = max(began_late, min(people, :began) - began)
WHERE experiment = :experiment AND day = :day AND app = :app AND platform = :platform
  AND held = :held;

-- name: effect_outcomes_of
SELECT o.day, k.ends, o.app, o.platform, o.held, o.people, o.completed, o.began,
       o.completed_before, o.began_before, o.completed_late, o.began_late
FROM effect_marks k JOIN effect_outcomes o ON o.experiment = k.what AND o.day = k.begins
WHERE k.what = :experiment ORDER BY o.day, o.app, o.platform, o.held;

-- name: erase_members
DELETE FROM experiment_members WHERE person IN (:who_user, :who_custom) AND person <> '';

-- name: erase_outcomes
DELETE FROM learning_outcomes WHERE person IN (:who_user, :who_custom) AND person <> '';

-- name: held_members
SELECT m.experiment, m.held, m.since, m.until, EXISTS (
    SELECT 1 FROM experiment_also a WHERE a.experiment = m.experiment AND a.person = m.person
)
FROM experiment_members m
WHERE m.person IN (:who_user, :who_custom) AND m.person <> '' ORDER BY m.since, m.experiment;

-- name: held_outcomes
SELECT type, occurred_at, object FROM learning_outcomes
WHERE person IN (:who_user, :who_custom) AND person <> '' ORDER BY occurred_at, type;
