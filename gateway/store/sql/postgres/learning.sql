-- name: learning_begin
INSERT INTO learning_chain (id, number, head, sealed, hour, events)
VALUES (1, 0, decode(repeat('00', 32), 'hex'), 0, -1, 0) ON CONFLICT DO NOTHING;

-- name: learning_state
SELECT number, head, sealed, hour, events, earliest, latest FROM learning_chain WHERE id = 1;

-- Who adds to the chain has its end to itself.
-- name: learning_lock
SELECT number, head, sealed, hour, events, earliest, latest FROM learning_chain WHERE id = 1
FOR UPDATE;

-- One process is enough: another one finds nothing to do.
-- name: learning_try_lock
SELECT number, head, sealed, hour, events, earliest, latest FROM learning_chain WHERE id = 1
FOR UPDATE SKIP LOCKED;

-- name: learning_move
UPDATE learning_chain SET
    number = $1, head = $2, sealed = $3, hour = $4, events = $5, earliest = $6, latest = $7
WHERE id = 1;

-- name: learning_waiting
SELECT event_id, source, type, occurred_at, received_at, learnt_user, learnt_custom, learnt_object,
       learnt_digest, learnt_salt, body
FROM events WHERE status = 'ignored' AND learnt_number IS NULL
ORDER BY received_at, event_id LIMIT $1;

-- name: learning_known
SELECT event_id FROM learning WHERE event_id = ANY($1::text[]);

-- name: learning_hashes
SELECT id_hash FROM learning WHERE id_hash = ANY($1::bytea[]);

-- Whether it is kept; and the key of keyed hashes, if any event was erased.
-- name: learning_had
SELECT EXISTS (SELECT 1 FROM learning WHERE event_id = $1),
       (SELECT value FROM secrets WHERE name = $2
        AND EXISTS (SELECT 1 FROM learning WHERE id_hash IS NOT NULL));

-- name: learning_insert
INSERT INTO learning (
    number, kind, event_id, id_hash, source, type, occurred_at, received_at, at, user_id, custom_id,
    object, digest, salt, head, remade, erases, erased_by, body
)
SELECT * FROM unnest(
    $1::bigint[], $2::text[], $3::text[], $4::bytea[], $5::text[], $6::text[], $7::float8[], $8::float8[], $9::float8[], $10::text[], $11::text[], $12::text[], $13::bytea[], $14::bytea[], $15::bytea[], $16::bigint[], $17::bigint[], $18::bigint[], $19::bytea[]
);

-- What a repeat, or an erased one, had in it goes; the rest is an event as any.
-- name: learning_placed
UPDATE events SET learnt_number = placed.number, learnt_user = NULL,
    learnt_custom = NULL, learnt_object = NULL,
    body = CASE placed.number WHEN 0 THEN ''::bytea ELSE body END
FROM unnest($1::bigint[], $2::text[]) AS placed (number, event_id)
WHERE events.event_id = placed.event_id;

-- name: learning_seal
INSERT INTO learning_seals (hour, first, last, events, head, earliest, latest)
VALUES ($1, $2, $3, $4, $5, $6, $7);

-- name: learning_outcome
INSERT INTO learning_outcomes (person, type, occurred_at, seq, object)
SELECT * FROM unnest($1::text[], $2::text[], $3::float8[], $4::bigint[], $5::text[])
ON CONFLICT DO NOTHING;

-- name: learning_page
SELECT number, event_id, source, type, occurred_at, received_at, user_id, custom_id, object, body,
       digest, salt, remade
FROM learning
WHERE kind = 'event' AND number > $1 AND number <= $2
  AND ($3::float8 IS NULL OR at >= $3) AND ($4::float8 IS NULL OR at < $4)
ORDER BY number LIMIT $5;

-- name: learning_page_type
SELECT number, event_id, source, type, occurred_at, received_at, user_id, custom_id, object, body,
       digest, salt, remade
FROM learning
WHERE kind = 'event' AND type = $6 AND number > $1 AND number <= $2
  AND ($3::float8 IS NULL OR at >= $3) AND ($4::float8 IS NULL OR at < $4)
ORDER BY number LIMIT $5;

-- name: learning_page_source
SELECT number, event_id, source, type, occurred_at, received_at, user_id, custom_id, object, body,
       digest, salt, remade
FROM learning
WHERE kind = 'event' AND source = $6 AND number > $1 AND number <= $2
  AND ($3::float8 IS NULL OR at >= $3) AND ($4::float8 IS NULL OR at < $4)
ORDER BY number LIMIT $5;

-- name: learning_page_user
SELECT number, event_id, source, type, occurred_at, received_at, user_id, custom_id, object, body,
       digest, salt, remade
FROM learning
WHERE user_id = $6 AND number > $1 AND number <= $2
  AND ($3::float8 IS NULL OR at >= $3) AND ($4::float8 IS NULL OR at < $4)
ORDER BY number LIMIT $5;

-- name: learning_page_custom
SELECT number, event_id, source, type, occurred_at, received_at, user_id, custom_id, object, body,
       digest, salt, remade
FROM learning
WHERE custom_id = $6 AND number > $1 AND number <= $2
  AND ($3::float8 IS NULL OR at >= $3) AND ($4::float8 IS NULL OR at < $4)
ORDER BY number LIMIT $5;

-- Between which numbers events of a window can be: by what the seals say of each hour.
-- name: learning_window
SELECT coalesce((SELECT min(first) FROM learning_seals WHERE latest >= $1::float8),
                (SELECT sealed + 1 FROM learning_chain), 1) - 1;

-- name: learning_until
SELECT CASE WHEN chain.earliest < $1::float8 THEN chain.number
       ELSE coalesce((SELECT max(last) FROM learning_seals WHERE earliest < $1), 0) END
FROM learning_chain AS chain;

-- One look at the index for each type.
-- name: learning_type_names
WITH RECURSIVE names(type) AS (
    (SELECT type FROM learning WHERE kind = 'event' ORDER BY type LIMIT 1)
    UNION ALL
    SELECT (SELECT type FROM learning WHERE kind = 'event' AND type > names.type
            ORDER BY type LIMIT 1)
    FROM names WHERE names.type IS NOT NULL
)
SELECT type FROM names WHERE type IS NOT NULL;

-- name: learning_types
SELECT type, count(*), max(received_at), count(coalesce(user_id, custom_id))
FROM learning WHERE kind = 'event' GROUP BY type ORDER BY type;

-- A learning event that outlives its row of events, as that was.
-- name: learning_event
SELECT event_id, type, 'ignored', received_at, occurred_at, 0, 0, '[]', 0, '', body, source, ''
FROM learning WHERE event_id = $1;

-- name: learning_entries
SELECT number, kind, event_id, id_hash, source, type, occurred_at, received_at, body, salt, digest,
       head, erases, erased_by
FROM learning WHERE number > $1 ORDER BY number LIMIT $2;

-- name: learning_seals
SELECT hour, first, last, events, head, earliest, latest FROM learning_seals ORDER BY last;

-- name: learning_days
SELECT day, first, last, events, head FROM learning_days ORDER BY last;

-- name: learning_day_insert
INSERT INTO learning_days (day, first, last, events, head) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT DO NOTHING;

-- name: learning_over
DELETE FROM learning WHERE number IN (
    SELECT number FROM learning WHERE number <= $1 ORDER BY number LIMIT $2
);

-- name: learning_outcomes_over
DELETE FROM learning_outcomes WHERE seq <= $1;

-- name: learning_seals_over
DELETE FROM learning_seals WHERE last <= $1;

-- name: learning_find
SELECT number, digest FROM learning WHERE event_id = $1 AND received_at <= $2;

-- name: learning_empty
UPDATE learning SET
    kind = 'erased', event_id = NULL, id_hash = $2, source = '', type = '', occurred_at = NULL,
    received_at = 0, at = 0, user_id = NULL, custom_id = NULL, object = NULL, salt = NULL,
    body = NULL, erased_by = $3
WHERE number = $1;

-- name: learning_outcomes_erase
DELETE FROM learning_outcomes WHERE seq = $1;
