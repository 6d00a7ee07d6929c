-- Whether these deliveries stand so, and the names of their phones, in the order asked.
-- name: hook_deliveries
SELECT d.state, v.installation_id
FROM json_each(:asked) asked
LEFT JOIN deliveries d ON d.event_id = asked.value ->> 0 AND d.item_index = asked.value ->> 1
    AND d.device_id = asked.value ->> 2
LEFT JOIN devices v ON v.id = asked.value ->> 2
ORDER BY asked.key;

-- name: hook_devices
SELECT installation_id, user_id, custom_id, app, provider, max(last_seen_at, heard_at), id
FROM devices WHERE id IN (SELECT value FROM json_each(:ids)) ORDER BY id;

-- Those whose app was seen last between two times.
-- name: hook_silent
SELECT installation_id, user_id, custom_id, app, provider, max(last_seen_at, heard_at), id
FROM devices
WHERE id > :after AND state = 'active' AND max(last_seen_at, heard_at) > :since
  AND max(last_seen_at, heard_at) <= :until
ORDER BY id LIMIT :limit;

-- name: hook_insert
INSERT INTO hook_batches (hook, at, since, due_at, size, must, lines, people)
VALUES (?, ?, ?, ?, ?, ?, ?, ?);

-- Whether something may be posted now.
-- name: hook_due
SELECT EXISTS (
    SELECT 1 FROM hook_batches
    WHERE hook = :hook AND died_at IS NULL AND (due_at <= :now OR tries = 0)
) AND NOT EXISTS (
    SELECT 1 FROM hooks WHERE id = :hook AND (held <> '' OR quiet_until > :now)
);

-- One posts at a time; none holds for much longer than this one asks to, whatever its clock says.
-- name: hook_lease
INSERT INTO hooks (id, holder, held_until) VALUES (:hook, :holder, :until)
ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
WHERE holder = excluded.holder OR held_until NOT BETWEEN :now AND 2 * :until - :now;

-- name: hook_let_go
UPDATE hooks SET held_until = 0 WHERE id = :hook AND holder = :holder;

-- name: hook_get
SELECT id, held, reason, held_at, trouble, trouble_at, failures, quiet_until, silent_at, learnt,
       sealed
FROM hooks WHERE id = :hook;

-- name: hooks_all
SELECT id, held, reason, held_at, trouble, trouble_at, failures, quiet_until, silent_at, learnt,
       sealed
FROM hooks ORDER BY id;

-- name: hook_next
SELECT id, name, at, since, size, tries, must, lines, people FROM hook_batches
WHERE hook = :hook AND died_at IS NULL AND (due_at <= :now OR tries = 0)
  AND id NOT IN (SELECT value FROM json_each(:busy))
ORDER BY due_at, id LIMIT :limit;

-- name: hook_fix
UPDATE hook_batches SET name = :name, at = :at, since = :since, size = :size, lines = :lines,
    people = :people
WHERE id = :id;

-- name: hook_batches_delete
DELETE FROM hook_batches WHERE id IN (SELECT value FROM json_each(:ids));

-- name: hook_tell
INSERT INTO hook_told (word, hook, named) VALUES (?, ?, ?)
ON CONFLICT (word, hook) DO UPDATE SET named = 1 WHERE excluded.named > named;

-- name: hook_works
UPDATE hooks SET failures = 0, trouble = '', trouble_at = NULL, quiet_until = 0
WHERE id = :hook AND failures > 0;

-- name: hook_batch_failed
UPDATE hook_batches SET tries = tries + 1, due_at = :due_at, reason = :reason WHERE id = :id;

-- name: hook_failed
UPDATE hooks SET failures = failures + 1, quiet_until = :quiet_until,
    trouble = CASE WHEN failures + 1 >= :failing THEN :reason ELSE trouble END,
    trouble_at = CASE WHEN failures + 1 >= :failing THEN coalesce(trouble_at, :now) END
WHERE id = :hook
RETURNING failures;

-- name: hook_hold
INSERT INTO hooks (id, held, reason, held_at) VALUES (:hook, :by, :reason, :now)
ON CONFLICT (id) DO UPDATE SET held = excluded.held, reason = excluded.reason,
    held_at = CASE WHEN held = '' THEN excluded.held_at ELSE held_at END
WHERE held <> 'operator' OR excluded.held = 'operator';

-- name: hook_resume
UPDATE hooks SET held = '', reason = '', held_at = NULL, failures = 0, trouble = '',
    trouble_at = NULL, quiet_until = 0
WHERE id = :hook AND (held <> '' OR failures > 0);

-- name: hook_hurry
UPDATE hook_batches SET due_at = 0
WHERE hook = :hook AND died_at IS NULL AND due_at > 0;

-- name: hook_mark
INSERT INTO hooks (id, silent_at, learnt, sealed)
VALUES (:hook, :silent_at, coalesce(:learnt, ''), coalesce(:sealed, ''))
ON CONFLICT (id) DO UPDATE SET silent_at = coalesce(:silent_at, silent_at),
    learnt = coalesce(:learnt, learnt), sealed = coalesce(:sealed, sealed);

-- name: hook_counts
SELECT hook, sum(size), min(since) FROM hook_batches WHERE died_at IS NULL GROUP BY hook;

-- name: hook_dead_counts
SELECT hook, sum(size) FROM hook_batches WHERE died_at IS NOT NULL GROUP BY hook;

-- name: hook_old
UPDATE hook_batches SET died_at = :now, reason = 'too old'
WHERE hook = :hook AND died_at IS NULL AND must = 0 AND since < :before
RETURNING size;

-- name: hook_sizes
SELECT id, size FROM hook_batches WHERE hook = :hook AND died_at IS NULL AND must = 0 ORDER BY id;

-- name: hook_bury
UPDATE hook_batches SET died_at = :now, reason = 'too many waited'
WHERE id IN (SELECT value FROM json_each(:ids)) AND died_at IS NULL;

-- name: hook_dead
SELECT id, hook, name, at, size, tries, reason, died_at, lines FROM hook_batches
WHERE hook = :hook AND died_at IS NOT NULL ORDER BY died_at DESC, id DESC LIMIT :limit;

-- name: hook_revive
UPDATE hook_batches SET died_at = NULL, reason = '', tries = 0, due_at = :now,
    since = :now
WHERE hook = :hook AND died_at IS NOT NULL AND died_at >= :since
  AND (:ids IS NULL OR id IN (SELECT value FROM json_each(:ids)))
RETURNING size;

-- name: hook_drop
DELETE FROM hook_batches
WHERE hook = :hook AND died_at IS NOT NULL
  AND (:ids IS NULL OR id IN (SELECT value FROM json_each(:ids)))
RETURNING size;

-- Dead letters whose time is over, and what waits for hooks that nobody configured for as long.
-- name: hook_purge
DELETE FROM hook_batches
WHERE (died_at IS NOT NULL AND died_at < :before)
   OR (since < :before AND hook NOT IN (SELECT value FROM json_each(:known)));

-- name: hook_told_of
SELECT hook, word, named FROM hook_told WHERE word IN (:who_user, :who_custom) AND word <> ''
ORDER BY hook, word;

-- name: hook_forget
DELETE FROM hook_told WHERE word IN (:who_user, :who_custom) AND word <> '';

-- What waits and names these people, or did not get through.
-- name: hook_naming
SELECT id, at, lines, people FROM hook_batches
WHERE id > :after
  AND EXISTS (SELECT 1 FROM json_each(:words) w WHERE instr(hook_batches.people, w.value) > 0)
ORDER BY id LIMIT :limit;

-- name: hook_empty
UPDATE hook_batches SET lines = :lines, people = :people WHERE id = :id;

-- How much waits for each hook that names a person.
-- name: held_hooks
SELECT hook, sum(size) FROM (
    SELECT hook, 0 AS size FROM hook_told WHERE word IN (:who_user, :who_custom) AND word <> ''
    UNION ALL
    SELECT hook, 1 FROM hook_batches
    WHERE (:who_user <> '' AND instr(people, :who_user) > 0)
       OR (:who_custom <> '' AND instr(people, :who_custom) > 0)
) GROUP BY hook ORDER BY hook;

-- Reasons for which somebody paused a hook, and which may name a person.
-- name: hook_reasons
SELECT id, reason FROM hooks
WHERE held = 'operator' AND (instr(reason, :user_id) > 0 OR instr(reason, :custom_id) > 0);

-- name: hook_set_reason
UPDATE hooks SET reason = ? WHERE id = ?;

-- What happened since, from behind a key on: deliveries that ended, receipts, and devices that were pruned.
-- name: hook_again_deliveries
SELECT d.event_id, d.item_index, d.device_id, d.state, d.attempts, d.at, d.user_id, d.custom_id,
       d.app, d.provider, d.address_hash, d.reason, d.vendor_id, d.next_at, d.day, v.installation_id
FROM deliveries d LEFT JOIN devices v ON v.id = d.device_id
WHERE (d.event_id, d.item_index, d.device_id) > (:key0, :key1, :key2)
  AND d.at >= :since AND d.state <> 'pending'
ORDER BY d.event_id, d.item_index, d.device_id LIMIT :limit;

-- name: hook_again_receipts
SELECT r.event_id, r.item_index, r.device_id, r.kind, r.at, r.clock, d.user_id, d.custom_id, d.app,
       v.platform,
       CASE WHEN v.user_id = d.user_id OR v.custom_id = d.custom_id THEN v.installation_id END
FROM receipts r
LEFT JOIN deliveries d USING (event_id, item_index, device_id)
LEFT JOIN devices v ON v.id = r.device_id
WHERE (r.event_id, r.item_index, r.device_id, r.kind) > (:key0, :key1, :key2, :key3)
  AND r.at >= :since
ORDER BY r.event_id, r.item_index, r.device_id, r.kind LIMIT :limit;

-- name: hook_again_devices
SELECT installation_id, user_id, custom_id, app, provider, max(last_seen_at, heard_at), id, state_at,
       state_reason
FROM devices WHERE id > :key0 AND state = 'pruned' AND state_at >= :since ORDER BY id LIMIT :limit;
