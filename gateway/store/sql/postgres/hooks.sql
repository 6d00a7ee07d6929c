-- Whether these deliveries stand so, and the names of their phones, in the order asked.
-- name: hook_deliveries
SELECT d.state, v.installation_id
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::int[]) WITH ORDINALITY
    AS asked (event_id, item_index, device_id, day, place)
LEFT JOIN deliveries d ON d.event_id = asked.event_id AND d.item_index = asked.item_index
    AND d.device_id = asked.device_id AND d.day = asked.day
LEFT JOIN devices v ON v.id = asked.device_id
ORDER BY asked.place;

-- name: hook_devices
SELECT installation_id, user_id, custom_id, app, provider, greatest(last_seen_at, heard_at), id
FROM devices WHERE id = ANY($1::bigint[]) ORDER BY id;

-- Those whose app was seen last between two times.
-- name: hook_silent
SELECT installation_id, user_id, custom_id, app, provider, greatest(last_seen_at, heard_at), id
FROM devices
WHERE id > $1 AND state = 'active' AND greatest(last_seen_at, heard_at) > $2
  AND greatest(last_seen_at, heard_at) <= $3
ORDER BY id LIMIT $4;

-- name: hook_insert
INSERT INTO hook_batches (hook, at, since, due_at, size, must, lines, people)
SELECT * FROM unnest(
    $1::text[], $2::float8[], $3::float8[], $4::float8[], $5::int[], $6::int[], $7::bytea[],
    $8::text[]
);

-- Whether something may be posted now.
-- name: hook_due
SELECT EXISTS (
    SELECT 1 FROM hook_batches
    WHERE hook = $1 AND died_at IS NULL AND (due_at <= $2 OR tries = 0)
) AND NOT EXISTS (
    SELECT 1 FROM hooks WHERE id = $1 AND (held <> '' OR quiet_until > $2)
);

-- One posts at a time; none holds for much longer than this one asks to, whatever its clock says.
-- name: hook_lease
INSERT INTO hooks (id, holder, held_until) VALUES ($1, $2, $4)
ON CONFLICT (id) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
WHERE hooks.holder = excluded.holder OR hooks.held_until NOT BETWEEN $3 AND 2 * $4::float8 - $3;

-- name: hook_let_go
UPDATE hooks SET held_until = 0 WHERE id = $1 AND holder = $2;

-- name: hook_get
SELECT id, held, reason, held_at, trouble, trouble_at, failures, quiet_until, silent_at, learnt,
       sealed
FROM hooks WHERE id = $1;

-- name: hooks_all
SELECT id, held, reason, held_at, trouble, trouble_at, failures, quiet_until, silent_at, learnt,
       sealed
FROM hooks ORDER BY id;

-- name: hook_next
SELECT id, name, at, since, size, tries, must, lines, people FROM hook_batches
WHERE hook = $1 AND died_at IS NULL AND (due_at <= $2 OR tries = 0) AND id <> ALL($3::bigint[])
ORDER BY due_at, id LIMIT $4;

-- name: hook_fix
UPDATE hook_batches SET name = $2, at = $3, since = $4, size = $5, lines = $6, people = $7
WHERE id = $1;

-- name: hook_batches_delete
DELETE FROM hook_batches WHERE id = ANY($1::bigint[]);

-- An erase that is told to hooks comes before or after a batch is fixed, and never beside it.
-- name: hook_telling
SELECT pg_advisory_xact_lock_shared($1, 0);

-- name: hook_forgetting
SELECT pg_advisory_xact_lock($1, 0);

-- name: hook_tell
INSERT INTO hook_told (word, hook, named)
SELECT word, $2, $3 FROM unnest($1::text[]) word ORDER BY word
ON CONFLICT (word, hook) DO UPDATE SET named = 1 WHERE excluded.named > hook_told.named;

-- name: hook_works
UPDATE hooks SET failures = 0, trouble = '', trouble_at = NULL, quiet_until = 0
WHERE id = $1 AND failures > 0;

-- name: hook_batch_failed
UPDATE hook_batches SET tries = tries + 1, due_at = $2, reason = $3 WHERE id = $1;

-- name: hook_failed
UPDATE hooks SET failures = failures + 1, quiet_until = $2,
    trouble = CASE WHEN failures + 1 >= $3 THEN $4 ELSE trouble END,
    trouble_at = CASE WHEN failures + 1 >= $3 THEN coalesce(trouble_at, $5) END
WHERE id = $1
RETURNING failures;

-- name: hook_hold
INSERT INTO hooks (id, held, reason, held_at) VALUES ($1, $2, $3, $4)
ON CONFLICT (id) DO UPDATE SET held = excluded.held, reason = excluded.reason,
    held_at = CASE WHEN hooks.held = '' THEN excluded.held_at ELSE hooks.held_at END
WHERE hooks.held <> 'operator' OR excluded.held = 'operator';

-- name: hook_resume
UPDATE hooks SET held = '', reason = '', held_at = NULL, failures = 0, trouble = '',
    trouble_at = NULL, quiet_until = 0
WHERE id = $1 AND (held <> '' OR failures > 0);

-- name: hook_hurry
UPDATE hook_batches SET due_at = 0 WHERE hook = $1 AND died_at IS NULL AND due_at > 0;

-- name: hook_mark
INSERT INTO hooks (id, silent_at, learnt, sealed)
VALUES ($1, $2, coalesce($3, ''), coalesce($4, ''))
ON CONFLICT (id) DO UPDATE SET silent_at = coalesce($2, hooks.silent_at),
    learnt = coalesce($3, hooks.learnt), sealed = coalesce($4, hooks.sealed);

-- name: hook_counts
SELECT hook, sum(size)::bigint, min(since) FROM hook_batches WHERE died_at IS NULL GROUP BY hook;

-- name: hook_dead_counts
SELECT hook, sum(size)::bigint FROM hook_batches WHERE died_at IS NOT NULL GROUP BY hook;

-- name: hook_old
UPDATE hook_batches SET died_at = $2, reason = 'too old'
WHERE hook = $1 AND died_at IS NULL AND must = 0 AND since < $3
RETURNING size;

-- name: hook_sizes
SELECT id, size FROM hook_batches WHERE hook = $1 AND died_at IS NULL AND must = 0 ORDER BY id;

-- name: hook_bury
UPDATE hook_batches SET died_at = $2, reason = 'too many waited'
WHERE id = ANY($1::bigint[]) AND died_at IS NULL;

-- name: hook_dead
SELECT id, hook, name, at, size, tries, reason, died_at, lines FROM hook_batches
WHERE hook = $1 AND died_at IS NOT NULL ORDER BY died_at DESC, id DESC LIMIT $2;

-- name: hook_revive
UPDATE hook_batches SET died_at = NULL, reason = '', tries = 0, due_at = $2, since = $2
WHERE hook = $1 AND died_at IS NOT NULL AND died_at >= $3
  AND ($4::bigint[] IS NULL OR id = ANY($4::bigint[]))
RETURNING size;

-- name: hook_drop
DELETE FROM hook_batches
WHERE hook = $1 AND died_at IS NOT NULL AND ($2::bigint[] IS NULL OR id = ANY($2::bigint[]))
RETURNING size;

-- Dead letters whose time is over, and what waits for hooks that nobody configured for as long.
-- name: hook_purge
DELETE FROM hook_batches
WHERE (died_at IS NOT NULL AND died_at < $1) OR (since < $1 AND hook <> ALL($2::text[]));

-- name: hook_told_of
SELECT hook, word, named FROM hook_told WHERE word = ANY($1::text[]) ORDER BY hook, word;

-- name: hook_forget
DELETE FROM hook_told WHERE word = ANY($1::text[]);

-- What waits and names these people, or did not get through.
-- name: hook_naming
SELECT id, at, lines, people FROM hook_batches b
WHERE id > $1 AND EXISTS (SELECT 1 FROM unnest($2::text[]) word WHERE strpos(b.people, word) > 0)
ORDER BY id LIMIT $3
FOR UPDATE;

-- name: hook_empty
UPDATE hook_batches SET lines = $2, people = $3 WHERE id = $1;

-- How much waits for each hook that names a person.
-- name: held_hooks
SELECT hook, sum(size)::bigint FROM (
    SELECT hook, 0 AS size FROM hook_told WHERE word = ANY($1::text[])
    UNION ALL
    SELECT hook, 1 FROM hook_batches b
    WHERE EXISTS (SELECT 1 FROM unnest($1::text[]) word WHERE strpos(b.people, word) > 0)
) found GROUP BY hook ORDER BY hook;

-- Reasons for which somebody paused a hook, and which may name a person.
-- name: hook_reasons
SELECT id, reason FROM hooks
WHERE held = 'operator' AND (strpos(reason, $1) > 0 OR strpos(reason, $2) > 0)
ORDER BY id
FOR UPDATE;

-- name: hook_set_reason
UPDATE hooks SET reason = $2 WHERE id = $1;

-- What happened since, from behind a key on: deliveries that ended, receipts, and devices that were pruned.
-- name: hook_again_deliveries
SELECT d.event_id, d.item_index, d.device_id, d.state, d.attempts, d.at, d.user_id, d.custom_id,
       d.app, d.provider, d.address_hash, d.reason, d.vendor_id, d.next_at, d.day, v.installation_id
FROM deliveries d LEFT JOIN devices v ON v.id = d.device_id
WHERE (d.event_id, d.item_index, d.device_id) > ($3, $4::int, $5::bigint)
  AND d.at >= $1 AND d.state <> 'pending'
ORDER BY d.event_id, d.item_index, d.device_id LIMIT $2;

-- name: hook_again_receipts
SELECT r.event_id, r.item_index, r.device_id, r.kind, r.at, r.clock, d.user_id, d.custom_id, d.app,
       v.platform,
       CASE WHEN v.user_id = d.user_id OR v.custom_id = d.custom_id THEN v.installation_id END
FROM receipts r
LEFT JOIN deliveries d USING (event_id, item_index, device_id, day)
LEFT JOIN devices v ON v.id = r.device_id
WHERE (r.event_id, r.item_index, r.device_id, r.kind) > ($3, $4::int, $5::bigint, $6)
  AND r.at >= $1
ORDER BY r.event_id, r.item_index, r.device_id, r.kind LIMIT $2;

-- name: hook_again_devices
SELECT installation_id, user_id, custom_id, app, provider, greatest(last_seen_at, heard_at), id,
       state_at, state_reason
FROM devices WHERE id > $3 AND state = 'pruned' AND state_at >= $1 ORDER BY id LIMIT $2;
