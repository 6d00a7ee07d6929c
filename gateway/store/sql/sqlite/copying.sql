-- What a copy to another engine reads: the key's columns first, from behind a key on, in its order.
-- name: copy_devices
SELECT id, app, provider, installation_id, user_id, custom_id, address, address_kind, platform,
       environment, state, state_reason, state_at, registered_at, last_seen_at, locale, timezone,
       app_version, os_version, device_model, notifications, measure, can, user_changed_at, stated,
       user_word, custom_word, erased_at, heard_at
FROM devices WHERE id > ? ORDER BY id;

-- name: copy_api_keys
SELECT id, digest, name, scopes, created_at, revoked_at, expires_at, sources, types
FROM api_keys WHERE id > ? ORDER BY id;

-- name: copy_secrets
SELECT name, value FROM secrets WHERE name > ? ORDER BY name;

-- name: copy_forgotten
SELECT hash, at, erased_at, user_hash, custom_hash, user_changed_at
FROM forgotten WHERE hash > ? ORDER BY hash;

-- name: copy_erasures
SELECT who_user, who_custom, asked_at, done_at, user_id, custom_id, holder, held_until
FROM erasures WHERE (who_user, who_custom) > (?, ?) ORDER BY who_user, who_custom;

-- name: copy_erased_events
SELECT who_user, who_custom, event_id FROM erased_events
WHERE (who_user, who_custom, event_id) > (?, ?, ?) ORDER BY who_user, who_custom, event_id;

-- name: copy_audit
SELECT at, who, what, object, user_word, custom_word, affected, origin, remote, reason, routine
FROM audit WHERE (at, who, what, object, user_word, custom_word) > (?, ?, ?, ?, ?, ?)
ORDER BY at, who, what, object, user_word, custom_word;

-- name: copy_hooks
SELECT id, held, reason, held_at, trouble, trouble_at, failures, quiet_until, holder, held_until,
       silent_at, learnt, sealed
FROM hooks WHERE id > ? ORDER BY id;

-- name: copy_hook_told
SELECT word, hook, named FROM hook_told WHERE (word, hook) > (?, ?) ORDER BY word, hook;

-- name: copy_hook_batches
SELECT id, hook, name, at, since, due_at, size, tries, must, lines, people, reason, died_at
FROM hook_batches WHERE id > ? ORDER BY id;

-- name: copy_lanes
SELECT app, provider, held, reason, hint, held_at, brake_at, rate, errors, waiting, seen_at,
       resumed_at, quiet_until, quiet_reason
FROM lanes WHERE (app, provider) > (?, ?) ORDER BY app, provider;

-- name: copy_lane_parts
SELECT app, provider, part, held, reason, hint, held_at, resumed_at, trouble, trouble_reason,
       trouble_hint, trouble_at, errors, waiting, seen_at
FROM lane_parts WHERE (app, provider, part) > (?, ?, ?) ORDER BY app, provider, part;

-- name: copy_brake_window
SELECT app, provider, at, gone, devices FROM brake_window
WHERE (app, provider, at) > (?, ?, ?) ORDER BY app, provider, at;

-- name: copy_held_removals
SELECT device_id, address, seen_at, app, provider, state, reason
FROM held_removals WHERE device_id > ? ORDER BY device_id;

-- name: copy_starts
SELECT device_id, key, received_at, holder, until FROM starts
WHERE (device_id, key) > (?, ?) ORDER BY device_id, key;

-- name: copy_effect_marks
SELECT what, begins, ends, counted_at, settled FROM effect_marks
WHERE (what, begins) > (?, ?) ORDER BY what, begins;

-- name: copy_effect_days
SELECT day, experiment, app, platform, source, people, taken, can_tell, shown, opened
FROM effect_days WHERE (day, experiment, app, platform, source) > (?, ?, ?, ?, ?)
ORDER BY day, experiment, app, platform, source;

-- name: copy_effect_reasons
SELECT day, experiment, app, platform, source, reason, people
FROM effect_reasons WHERE (day, experiment, app, platform, source, reason) > (?, ?, ?, ?, ?, ?)
ORDER BY day, experiment, app, platform, source, reason;

-- name: copy_effect_phones
SELECT day, app, platform, what, phones FROM effect_phones
WHERE (day, app, platform, what) > (?, ?, ?, ?) ORDER BY day, app, platform, what;

-- name: copy_effect_terms
SELECT experiment, terms FROM effect_terms WHERE experiment > ? ORDER BY experiment;

-- name: copy_effect_outcomes
SELECT experiment, day, app, platform, held, people, completed, began, completed_before,
       began_before, completed_late, began_late
FROM effect_outcomes WHERE (experiment, day, app, platform, held) > (?, ?, ?, ?, ?)
ORDER BY experiment, day, app, platform, held;

-- name: copy_experiment_members
SELECT experiment, person, held, since, until, app, platform, source
FROM experiment_members WHERE (experiment, person) > (?, ?) ORDER BY experiment, person;

-- name: copy_experiments
SELECT id, stage, terms, key, dry_at, started_at, ends_at, ended_at, reason FROM experiments
WHERE id > ? ORDER BY id;

-- name: copy_experiment_left_out
SELECT experiment, person, reason, since FROM experiment_left_out
WHERE (experiment, person) > (?, ?) ORDER BY experiment, person;

-- name: copy_experiment_also
SELECT experiment, person FROM experiment_also
WHERE (experiment, person) > (?, ?) ORDER BY experiment, person;

-- name: copy_experiment_exempt
SELECT person, since FROM experiment_exempt WHERE person > ? ORDER BY person;

-- name: copy_experiment_held
SELECT experiment, person, event_id, item, seen_at, content, who_user, who_custom
FROM experiment_held WHERE (experiment, person) > (?, ?) ORDER BY experiment, person;

-- name: copy_events
SELECT event_id, type, status, received_at, occurred_at, notifications, rejected, rejections,
       chunks, reason, body, source, limits, learnt_user, learnt_custom,
       learnt_object, learnt_salt, learnt_digest, learnt_number
FROM events WHERE event_id > ? ORDER BY event_id;

-- name: copy_learning
SELECT number, kind, event_id, id_hash, source, type, occurred_at, received_at, at, user_id, custom_id,
       object, digest, salt, head, remade, erases, erased_by, body
FROM learning WHERE number > ? ORDER BY number;

-- name: copy_learning_chain
SELECT id, number, head, sealed, hour, events, earliest, latest FROM learning_chain
WHERE id > ? ORDER BY id;

-- name: copy_learning_seals
SELECT last, hour, first, events, head, earliest, latest FROM learning_seals
WHERE last > ? ORDER BY last;

-- name: copy_learning_days
SELECT last, day, first, events, head FROM learning_days WHERE last > ? ORDER BY last;

-- name: copy_learning_outcomes
SELECT person, type, occurred_at, seq, object FROM learning_outcomes
WHERE (person, type, occurred_at, seq) > (?, ?, ?, ?) ORDER BY person, type, occurred_at, seq;

-- name: copy_event_people
SELECT person, event_id FROM event_people
WHERE (person, event_id) > (?, ?) ORDER BY person, event_id;

-- name: copy_cancelled
SELECT event_id, at, cancelled, taken, until, deadline, digest, replacement
FROM cancelled WHERE event_id > ? ORDER BY event_id;

-- name: copy_suppressions
SELECT event_id, path, source, who_user, who_custom, at, within_s, received_at
FROM suppressions WHERE (event_id, path) > (?, ?) ORDER BY event_id, path;

-- name: copy_chunks_done
SELECT event_id, number FROM chunks_done
WHERE (event_id, number) > (?, ?) ORDER BY event_id, number;

-- The day is the event's, by which its chunks look for what is journaled. It was not kept before
-- migration 2; and an event may be gone, then its last word tells about when it was.
-- name: copy_deliveries
SELECT event_id, item_index, device_id, state, attempts, at, user_id, custom_id, app, provider,
       address_hash, reason, vendor_id, next_at,
       coalesce((SELECT CAST(received_at / 86400 AS INTEGER) FROM events
                 WHERE events.event_id = deliveries.event_id),
                nullif(day, 0), CAST(at / 86400 AS INTEGER)) AS day
FROM deliveries
WHERE (event_id, item_index, device_id) > (?, ?, ?) ORDER BY event_id, item_index, device_id;

-- name: copy_failed_attempts
SELECT event_id, item_index, device_id, failures, said FROM failed_attempts
WHERE (event_id, item_index, device_id) > (?, ?, ?) ORDER BY event_id, item_index, device_id;

-- name: copy_receipts
SELECT event_id, item_index, device_id, kind, at, clock, day FROM receipts
WHERE (event_id, item_index, device_id, kind) > (?, ?, ?, ?)
ORDER BY event_id, item_index, device_id, kind;

-- name: copy_dead_letters
SELECT id, event_id, item_index, device_id, app, provider, reason, attempts, died_at, title, body,
       path, user_id, custom_id, taken_at, later, raw, form
FROM dead_letters WHERE id > ? ORDER BY id;

-- name: copy_queue
SELECT id, event_id, number, lane, first_seen, deadline, due_at, lease_id, tries, size, items,
       part, lone_ends, alone, claimed_at,
       coalesce((SELECT CAST(received_at / 86400 AS INTEGER) FROM events
                 WHERE events.event_id = queue.event_id), day) AS day
FROM queue WHERE id > ? ORDER BY id;

-- name: copy_counts
SELECT 'devices', count(*) FROM devices UNION ALL
SELECT 'api_keys', count(*) FROM api_keys UNION ALL
SELECT 'secrets', count(*) FROM secrets UNION ALL
SELECT 'forgotten', count(*) FROM forgotten UNION ALL
SELECT 'erasures', count(*) FROM erasures UNION ALL
SELECT 'erased_events', count(*) FROM erased_events UNION ALL
SELECT 'audit', count(*) FROM audit UNION ALL
SELECT 'hooks', count(*) FROM hooks UNION ALL
SELECT 'hook_told', count(*) FROM hook_told UNION ALL
SELECT 'hook_batches', count(*) FROM hook_batches UNION ALL
SELECT 'lanes', count(*) FROM lanes UNION ALL
SELECT 'lane_parts', count(*) FROM lane_parts UNION ALL
SELECT 'brake_window', count(*) FROM brake_window UNION ALL
SELECT 'held_removals', count(*) FROM held_removals UNION ALL
SELECT 'starts', count(*) FROM starts UNION ALL
SELECT 'effect_marks', count(*) FROM effect_marks UNION ALL
SELECT 'effect_days', count(*) FROM effect_days UNION ALL
SELECT 'effect_reasons', count(*) FROM effect_reasons UNION ALL
SELECT 'effect_phones', count(*) FROM effect_phones UNION ALL
SELECT 'effect_terms', count(*) FROM effect_terms UNION ALL
SELECT 'effect_outcomes', count(*) FROM effect_outcomes UNION ALL
SELECT 'experiment_members', count(*) FROM experiment_members UNION ALL
SELECT 'experiments', count(*) FROM experiments UNION ALL
SELECT 'experiment_left_out', count(*) FROM experiment_left_out UNION ALL
SELECT 'experiment_also', count(*) FROM experiment_also UNION ALL
SELECT 'experiment_exempt', count(*) FROM experiment_exempt UNION ALL
SELECT 'experiment_held', count(*) FROM experiment_held UNION ALL
SELECT 'events', count(*) FROM events UNION ALL
SELECT 'learning', count(*) FROM learning UNION ALL
SELECT 'learning_chain', count(*) FROM learning_chain UNION ALL
SELECT 'learning_seals', count(*) FROM learning_seals UNION ALL
SELECT 'learning_days', count(*) FROM learning_days UNION ALL
SELECT 'learning_outcomes', count(*) FROM learning_outcomes UNION ALL
SELECT 'event_people', count(*) FROM event_people UNION ALL
SELECT 'cancelled', count(*) FROM cancelled UNION ALL
SELECT 'suppressions', count(*) FROM suppressions UNION ALL
SELECT 'chunks_done', count(*) FROM chunks_done UNION ALL
SELECT 'deliveries', count(*) FROM deliveries UNION ALL
SELECT 'failed_attempts', count(*) FROM failed_attempts UNION ALL
SELECT 'receipts', count(*) FROM receipts UNION ALL
SELECT 'dead_letters', count(*) FROM dead_letters UNION ALL
SELECT 'queue', count(*) FROM queue;

-- The largest id that was ever given: it may be gone, and must not come back.
-- name: copy_ids
SELECT name, seq FROM sqlite_sequence;
