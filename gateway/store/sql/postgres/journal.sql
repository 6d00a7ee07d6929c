-- An event with all that hangs on it, in one statement: over a slow network a webhook waits for one
-- answer. Whether it is new; if not, when the one that is there was received: by that a repeat of
-- this statement, whose first answer was lost, knows itself again. (NULL: another one is just there.)
-- name: event_insert
WITH new AS (
    INSERT INTO events (
        event_id, type, status, received_at, occurred_at, notifications, rejected, rejections,
        chunks, reason, body, source, limits, learnt_user,
        learnt_custom, learnt_object, learnt_salt, learnt_digest
    ) VALUES (
        $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18
    )
    ON CONFLICT (event_id) DO NOTHING
    RETURNING event_id
), people AS (
    INSERT INTO event_people (person, event_id)
    SELECT person, new.event_id FROM new, unnest($19::text[]) person ORDER BY person
    ON CONFLICT DO NOTHING
), chunks AS (
    INSERT INTO queue (
        event_id, number, lane, part, first_seen, deadline, due_at, tries, size, items, day
    )
    SELECT given.event_id, number, lane, part, first_seen, deadline, due_at, 0, size, items, day
    FROM new, unnest(
        $20::text[], $21::int[], $22::text[], $23::text[], $24::float8[], $25::float8[],
        $26::float8[], $27::int[], $28::bytea[], $29::int[]
    ) AS given (event_id, number, lane, part, first_seen, deadline, due_at, size, items, day)
)
SELECT EXISTS (SELECT 1 FROM new), (SELECT received_at FROM events WHERE event_id = $1);

-- name: event_replace
UPDATE events SET
    type = $2, status = $3, occurred_at = $4, notifications = $5, rejected = $6, rejections = $7,
    chunks = $8, reason = $9
WHERE event_id = $1 AND status NOT IN ('accepting', 'accepted');

-- name: event_set_body
UPDATE events SET body = $3 WHERE event_id = $1 AND body = $2;

-- name: event_accepted
UPDATE events SET status = 'accepted' WHERE event_id = $1 AND status = 'accepting';

-- name: events_stale
SELECT event_id FROM events WHERE status = 'accepting' AND received_at < $1
ORDER BY received_at LIMIT $2;

-- name: events_requeue
UPDATE events SET status = 'accepting'
WHERE status = 'accepted' AND received_at >= $1
  AND (chunks > (SELECT count(*) FROM chunks_done d WHERE d.event_id = events.event_id)
       OR EXISTS (SELECT 1 FROM deliveries p
                  WHERE p.event_id = events.event_id AND p.state = 'pending'));

-- name: event_get
SELECT event_id, type, status, received_at, occurred_at, notifications, rejected, rejections,
       chunks, reason, body, source, limits
FROM events WHERE event_id = $1;

-- name: events_page
SELECT event_id, type, status, received_at, occurred_at, notifications, rejected, rejections,
       chunks, reason, ''::bytea AS body, source, limits
FROM events
WHERE ($1::text IS NULL OR status = $1) AND ($2::float8 IS NULL OR received_at < $2)
  AND ($3::text IS NULL OR source = $3)
ORDER BY received_at DESC LIMIT $4;

-- name: event_states
SELECT state, count(*) FROM deliveries WHERE event_id = $1 GROUP BY state;

-- How many items have a row, how many chunks are done, whether one is queued: a chunk that is back
-- in the queue holds deliveries, journaled yet or not.
-- name: event_standing
SELECT (SELECT count(*) FROM (SELECT DISTINCT item_index FROM deliveries WHERE event_id = $1) seen),
       (SELECT count(*) FROM chunks_done WHERE event_id = $1),
       EXISTS (SELECT 1 FROM queue WHERE event_id = $1);

-- name: chunks_done
INSERT INTO chunks_done (event_id, number)
SELECT DISTINCT event_id, number FROM unnest($1::text[], $2::int[]) AS done (event_id, number)
ORDER BY event_id, number
ON CONFLICT DO NOTHING;

-- What is known of some items; index -1: the event was cancelled.
-- name: progress
SELECT item_index, device_id, state, attempts, next_at FROM deliveries
WHERE day = $1 AND event_id = $2 AND item_index BETWEEN $3 AND $4
UNION ALL
SELECT -1, 0, 'cancelled', 0, NULL FROM cancelled WHERE event_id = $2;

-- Only of a chunk that is tried alone: did it get anywhere since it was claimed before?
-- name: journaled_since
SELECT item_index, device_id FROM deliveries
WHERE day = $1 AND event_id = $2 AND item_index BETWEEN $3 AND $4 AND at > $5;

-- name: deliveries_between
SELECT event_id, item_index, device_id, state, attempts, at, user_id, custom_id, app, provider,
       address_hash, reason, vendor_id, next_at, day
FROM deliveries WHERE day = $1 AND event_id = $2 AND item_index BETWEEN $3 AND $4;

-- Rows as an array of one type: fifteen arrays cost the client's driver three times as much.
-- In the order of the key, so that two flushes that meet wait for each other in one direction.
-- name: deliveries_upsert
INSERT INTO deliveries (
    event_id, item_index, device_id, state, attempts, at, user_id, custom_id, app, provider,
    address_hash, reason, vendor_id, next_at, day
)
SELECT event_id, item_index, device_id, state, attempts, at, user_id, custom_id, app, provider,
       address_hash, reason, vendor_id, next_at, day
FROM unnest($1::told_delivery[])
ORDER BY event_id, item_index, device_id
ON CONFLICT (event_id, item_index, device_id, day) DO UPDATE SET
    state = excluded.state, attempts = excluded.attempts, at = excluded.at,
    address_hash = excluded.address_hash,
    reason = CASE WHEN excluded.state = 'pending' AND excluded.reason = ''
             THEN deliveries.reason ELSE excluded.reason END,
    vendor_id = CASE WHEN excluded.vendor_id = '' THEN deliveries.vendor_id
                ELSE excluded.vendor_id END,
    next_at = excluded.next_at
WHERE deliveries.state = 'pending';

-- Columns by name here and below: while replicas are upgraded, a table may have more of them.
-- name: deliveries_of_user
SELECT event_id, item_index, device_id, state, attempts, at, user_id, custom_id, app, provider,
       address_hash, reason, vendor_id, next_at, day FROM (
    SELECT * FROM deliveries WHERE user_id = $1 AND at >= $3
    ORDER BY at DESC, event_id, item_index, device_id LIMIT $4
) by_user
UNION
SELECT event_id, item_index, device_id, state, attempts, at, user_id, custom_id, app, provider,
       address_hash, reason, vendor_id, next_at, day FROM (
    SELECT * FROM deliveries WHERE custom_id = $2 AND at >= $3
    ORDER BY at DESC, event_id, item_index, device_id LIMIT $4
) by_custom
ORDER BY at DESC, event_id, item_index, device_id LIMIT $4;

-- name: deliveries_of_event
SELECT event_id, item_index, device_id, state, attempts, at, user_id, custom_id, app, provider,
       address_hash, reason, vendor_id, next_at, day
FROM deliveries WHERE event_id = $1 ORDER BY item_index, device_id;

-- name: dead_insert
INSERT INTO dead_letters (
    event_id, item_index, device_id, app, provider, reason, attempts, died_at,
    title, body, path, user_id, custom_id, later, raw, form
)
SELECT * FROM unnest(
    $1::text[], $2::int[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::int[],
    $8::float8[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::text[],
    $15::bytea[], $16::int[]
) AS told (
    event_id, item_index, device_id, app, provider, reason, attempts, died_at,
    title, body, path, user_id, custom_id, later, raw, form
)
ORDER BY event_id, item_index, device_id
ON CONFLICT (event_id, item_index, device_id) DO UPDATE SET
    reason = excluded.reason, attempts = excluded.attempts, died_at = excluded.died_at,
    taken_at = NULL;

-- In the order of the key, as deliveries are.
-- name: failed_upsert
INSERT INTO failed_attempts (event_id, item_index, device_id, failures, said)
SELECT event_id, item_index, device_id, failures, said
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::int[], $5::text[])
    AS told (event_id, item_index, device_id, failures, said)
ORDER BY event_id, item_index, device_id
ON CONFLICT (event_id, item_index, device_id) DO UPDATE SET
    failures = failed_attempts.failures + excluded.failures,
    said = left(excluded.said || failed_attempts.said, 600);

-- name: failed_get
SELECT f.event_id, f.item_index, f.device_id, f.failures, f.said
FROM unnest($1::text[], $2::int[], $3::bigint[]) AS asked (event_id, item_index, device_id)
JOIN failed_attempts f USING (event_id, item_index, device_id);

-- name: dead_page
SELECT id, event_id, item_index, device_id, app, provider, reason, attempts, died_at, title, body, path,
       user_id, custom_id, later, raw, form
FROM dead_letters WHERE $1::text IS NULL OR event_id = $1
ORDER BY died_at DESC, id DESC LIMIT $2;

-- name: dead_ids
SELECT id FROM dead_letters ORDER BY event_id, item_index, device_id;

-- Locked, so that of two who replay one letter the second finds it gone. A letter of a cancelled event
-- stays, unless its replay was begun before: then its delivery is dead no more, and ends by its chunk.
-- name: dead_by_ids
SELECT id, event_id, item_index, device_id, app, provider, reason, attempts, died_at, title, body, path,
       user_id, custom_id, later, raw, form, taken_at,
       CASE WHEN EXISTS (SELECT 1 FROM cancelled c WHERE c.event_id = dead_letters.event_id)
            THEN raw IS NOT NULL OR EXISTS (
                SELECT 1 FROM deliveries d
                WHERE d.event_id = dead_letters.event_id
                  AND d.item_index = dead_letters.item_index
                  AND d.device_id = dead_letters.device_id AND d.state = 'dead')
            ELSE false END,
       (SELECT received_at FROM events WHERE events.event_id = dead_letters.event_id)
FROM dead_letters
WHERE $1::bigint[] IS NULL OR id = ANY($1)
ORDER BY event_id, item_index, device_id FOR UPDATE;

-- Taken for a replay that the store has no part in; again after so many seconds, under the time of the
-- first. SKIP LOCKED: another one is just taking it.
-- name: dead_take
UPDATE dead_letters SET taken_at = coalesce(taken_at, $2) WHERE id IN (
    SELECT id FROM dead_letters
    WHERE ($1::bigint[] IS NULL OR id = ANY($1))
      AND (taken_at IS NULL OR taken_at < $2 - $3::float8)
    ORDER BY id FOR UPDATE SKIP LOCKED
)
RETURNING id;

-- name: dead_delete
DELETE FROM dead_letters WHERE $1::bigint[] IS NULL OR id = ANY($1);

-- Of dead deliveries: those with a device are pending again; of device 0 nothing is known.
-- name: deliveries_revive
UPDATE deliveries d SET state = 'pending', attempts = 0, at = $4, next_at = $4
FROM unnest($1::text[], $2::int[], $3::bigint[]) AS dead (event_id, item_index, device_id)
WHERE d.event_id = dead.event_id AND d.item_index = dead.item_index
  AND d.device_id = dead.device_id AND d.device_id <> 0 AND d.state = 'dead';

-- name: deliveries_forget
DELETE FROM deliveries d
USING unnest($1::text[], $2::int[], $3::bigint[]) AS dead (event_id, item_index, device_id)
WHERE d.event_id = dead.event_id AND d.item_index = dead.item_index
  AND d.device_id = dead.device_id AND d.device_id = 0 AND d.state = 'dead';

-- Events of before $1 of which nothing is queued, with what hangs on them; the deliveries go with
-- their partition. SKIP LOCKED: another replica may be at the same.
-- name: events_purge
WITH old AS (
    SELECT event_id FROM events
    WHERE received_at < $1 AND NOT (status = 'ignored' AND learnt_number IS NULL)
      AND NOT EXISTS (SELECT 1 FROM queue WHERE queue.event_id = events.event_id)
    ORDER BY received_at LIMIT $2 FOR UPDATE SKIP LOCKED
), chunks AS (
    DELETE FROM chunks_done WHERE event_id = ANY(ARRAY(SELECT event_id FROM old)) RETURNING 1
), people AS (
    DELETE FROM event_people WHERE event_id = ANY(ARRAY(SELECT event_id FROM old))
), failed AS (
    DELETE FROM failed_attempts WHERE event_id = ANY(ARRAY(SELECT event_id FROM old))
), stops AS (
    DELETE FROM cancelled WHERE event_id = ANY(ARRAY(SELECT event_id FROM old))
), letters AS (
    DELETE FROM dead_letters WHERE event_id = ANY(ARRAY(SELECT event_id FROM old)) RETURNING 1
), gone AS (
    DELETE FROM events WHERE event_id = ANY(ARRAY(SELECT event_id FROM old)) RETURNING 1
)
SELECT (SELECT count(*) FROM gone),
       (SELECT count(*) FROM gone) + (SELECT count(*) FROM chunks) + (SELECT count(*) FROM letters);

-- Bytes that nobody could read, of an event that nobody knows.
-- name: dead_orphans
DELETE FROM dead_letters d
WHERE raw IS NOT NULL AND died_at < $1
  AND NOT EXISTS (SELECT 1 FROM events e WHERE e.event_id = d.event_id);

-- name: stream_get
SELECT created FROM streams WHERE name = $1;

-- name: stream_set
INSERT INTO streams (name, created) VALUES ($1, $2)
ON CONFLICT (name) DO UPDATE SET created = excluded.created;
