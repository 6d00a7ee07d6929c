-- name: learning_begin
INSERT INTO learning_chain (id, number, head, sealed, hour, events)
VALUES (1, 0, zeroblob(32), 0, -1, 0) ON CONFLICT DO NOTHING;

-- name: learning_state
SELECT number, head, sealed, hour, events, earliest, latest FROM learning_chain WHERE id = 1;

-- name: learning_move
UPDATE learning_chain SET
    number = ?, head = ?, sealed = ?, hour = ?, events = ?, earliest = ?, latest = ?
WHERE id = 1;

-- name: learning_waiting
SELECT event_id, source, type, occurred_at, received_at, learnt_user, learnt_custom, learnt_object,
       learnt_digest, learnt_salt, body
FROM events WHERE status = 'ignored' AND learnt_number IS NULL
ORDER BY received_at, event_id LIMIT :limit;

-- name: learning_known
SELECT event_id FROM learning
WHERE event_id IN (SELECT value FROM json_each(:ids)) AND event_id IS NOT NULL;

-- name: learning_any_hash
SELECT EXISTS (SELECT 1 FROM learning WHERE id_hash IS NOT NULL);

-- name: learning_hash
SELECT id_hash FROM learning WHERE id_hash = ? AND id_hash IS NOT NULL;

-- name: learning_insert
INSERT INTO learning (
    number, kind, event_id, id_hash, source, type, occurred_at, received_at, at, user_id, custom_id,
    object, digest, salt, head, remade, erases, erased_by, body
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?);

-- What a repeat, or an erased one, had in it goes; the rest is an event as any.
-- name: learning_placed
UPDATE events SET learnt_number = placed.value ->> 0, learnt_user = NULL,
    learnt_custom = NULL, learnt_object = NULL,
    body = iif(placed.value ->> 0 = 0, x'', body)
FROM json_each(:placed) AS placed WHERE events.event_id = placed.value ->> 1;

-- name: learning_seal
INSERT INTO learning_seals (hour, first, last, events, head, earliest, latest)
VALUES (?, ?, ?, ?, ?, ?, ?);

-- name: learning_outcome
INSERT INTO learning_outcomes (person, type, occurred_at, seq, object)
VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING;

-- The page of one index; the others are alike. `until` is compared here, `since` too.
-- name: learning_page
SELECT number, event_id, source, type, occurred_at, received_at, user_id, custom_id, object, body,
       digest, salt, remade
FROM learning
WHERE kind = 'event' AND number > :after AND number <= :upto
  AND (:since IS NULL OR at >= :since) AND (:until IS NULL OR at < :until)
ORDER BY number LIMIT :limit;

-- name: learning_page_type
SELECT number, event_id, source, type, occurred_at, received_at, user_id, custom_id, object, body,
       digest, salt, remade
FROM learning
WHERE kind = 'event' AND type = :one AND number > :after AND number <= :upto
  AND (:since IS NULL OR at >= :since) AND (:until IS NULL OR at < :until)
ORDER BY number LIMIT :limit;

-- name: learning_page_source
SELECT number, event_id, source, type, occurred_at, received_at, user_id, custom_id, object, body,
       digest, salt, remade
FROM learning
WHERE kind = 'event' AND source = :one AND number > :after AND number <= :upto
  AND (:since IS NULL OR at >= :since) AND (:until IS NULL OR at < :until)
ORDER BY number LIMIT :limit;

-- name: learning_page_user
SELECT number, event_id, source, type, occurred_at, received_at, user_id, custom_id, object, body,
       digest, salt, remade
FROM learning
WHERE user_id = :one AND number > :after AND number <= :upto
  AND (:since IS NULL OR at >= :since) AND (:until IS NULL OR at < :until)
ORDER BY number LIMIT :limit;

-- name: learning_page_custom
SELECT number, event_id, source, type, occurred_at, received_at, user_id, custom_id, object, body,
       digest, salt, remade
FROM learning
WHERE custom_id = :one AND number > :after AND number <= :upto
  AND (:since IS NULL OR at >= :since) AND (:until IS NULL OR at < :until)
ORDER BY number LIMIT :limit;

-- Between which numbers events of a window can be: by what the seals say of each hour.
-- name: learning_window
SELECT coalesce((SELECT min(first) FROM learning_seals WHERE latest >= :since),
                (SELECT sealed + 1 FROM learning_chain), 1) - 1;

-- name: learning_until
SELECT iif(chain.earliest < :until, chain.number,
           coalesce((SELECT max(last) FROM learning_seals WHERE earliest < :until), 0))
FROM learning_chain AS chain;

-- One look at the index for each type.
-- name: learning_type_names
WITH RECURSIVE names(type) AS (
    SELECT min(type) FROM learning WHERE kind = 'event'
    UNION ALL
    SELECT (SELECT min(type) FROM learning WHERE kind = 'event' AND type > names.type)
    FROM names WHERE names.type IS NOT NULL
)
SELECT type FROM names WHERE type IS NOT NULL;

-- name: learning_types
SELECT type, count(*), max(received_at), count(coalesce(user_id, custom_id))
FROM learning WHERE kind = 'event' GROUP BY type ORDER BY type;

-- A learning event that outlives its row of events, as that was.
-- name: learning_event
SELECT event_id, type, 'ignored', received_at, occurred_at, 0, 0, '[]', 0, '', body, source, ''
FROM learning WHERE event_id = :event_id AND event_id IS NOT NULL;

-- name: learning_entries
SELECT number, kind, event_id, id_hash, source, type, occurred_at, received_at, body, salt, digest,
       head, erases, erased_by
FROM learning WHERE number > :after ORDER BY number LIMIT :limit;

-- name: learning_seals
SELECT hour, first, last, events, head, earliest, latest FROM learning_seals ORDER BY last;

-- name: learning_days
SELECT day, first, last, events, head FROM learning_days ORDER BY last;

-- name: learning_day_insert
INSERT INTO learning_days (day, first, last, events, head) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO NOTHING;

-- name: learning_over
DELETE FROM learning WHERE number IN (
    SELECT number FROM learning WHERE number <= :last ORDER BY number LIMIT :limit
);

-- name: learning_outcomes_over
DELETE FROM learning_outcomes WHERE seq <= :last;

-- name: learning_seals_over
DELETE FROM learning_seals WHERE last <= :last;

-- name: learning_find
SELECT number, digest FROM learning
WHERE event_id = :event_id AND event_id IS NOT NULL AND received_at <= :asked_at;

-- name: learning_empty
UPDATE learning SET
    kind = 'erased', event_id = NULL, id_hash = :id_hash, source = '', type = '', occurred_at = NULL,
    received_at = 0, at = 0, user_id = NULL, custom_id = NULL, object = NULL, salt = NULL,
    body = NULL, erased_by = :erased_by
WHERE number = :number;

-- name: learning_outcomes_erase
DELETE FROM learning_outcomes WHERE seq = :number;
