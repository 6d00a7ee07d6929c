-- name: erase_devices
DELETE FROM devices WHERE user_id = $1 OR custom_id = $2 RETURNING *;

-- name: erase_held
DELETE FROM held_removals h WHERE NOT EXISTS (SELECT 1 FROM devices d WHERE d.id = h.device_id);

-- Before anybody can replay them: a replay begins a new life.
-- name: erase_letters
DELETE FROM dead_letters WHERE user_id = $1 OR custom_id = $2;

-- One row a person, however often it is asked: the job begins anew.
-- name: erasure_ask
INSERT INTO erasures (who_user, who_custom, asked_at, user_id, custom_id)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (who_user, who_custom) DO UPDATE SET
    asked_at = excluded.asked_at, done_at = NULL,
    user_id = excluded.user_id, custom_id = excluded.custom_id;

-- name: erasure_exists
SELECT EXISTS (SELECT 1 FROM erasures);

-- name: erasure_state
SELECT max(asked_at), max(done_at), count(*) - count(done_at) FROM erasures
WHERE (who_user = $1 AND who_user <> '') OR (who_custom = $2 AND who_custom <> '');

-- Of many people: (their word, when they were erased last).
-- name: erasures_of
SELECT word, max(asked_at) FROM (
    SELECT who_user AS word, asked_at FROM erasures WHERE who_user = ANY($1::text[])
    UNION ALL
    SELECT who_custom, asked_at FROM erasures WHERE who_custom = ANY($1::text[])
) found GROUP BY word;

-- name: erasures_waiting
SELECT EXISTS (SELECT 1 FROM erasures WHERE done_at IS NULL);

-- All that wait, for one holder at a time; none holds for longer than this one asks to.
-- name: erasures_take
UPDATE erasures SET holder = $1, held_until = $2
WHERE done_at IS NULL
  AND (holder = $1 OR held_until NOT BETWEEN $3 AND $2)
  AND NOT EXISTS (SELECT 1 FROM erasures WHERE done_at IS NULL AND holder <> $1
                  AND held_until BETWEEN $3 AND $2)
RETURNING who_user, who_custom, asked_at, user_id, custom_id;

-- name: erasures_hold
UPDATE erasures SET held_until = $2 WHERE holder = $1 AND done_at IS NULL;

-- name: erasures_let_go
UPDATE erasures SET held_until = 0 WHERE holder = $1;

-- Nothing names them any more: nor does this row. One that was asked again meanwhile waits.
-- name: erasure_unname
UPDATE erasures SET user_id = NULL, custom_id = NULL
WHERE who_user = $1 AND who_custom = $2 AND asked_at = $3;

-- name: erasure_done
UPDATE erasures SET done_at = $4
WHERE who_user = $1 AND who_custom = $2 AND asked_at = $3
  AND user_id IS NULL AND custom_id IS NULL AND done_at IS NULL;

-- name: erasures_purge
DELETE FROM erasures WHERE asked_at < $1 AND done_at IS NOT NULL;

-- Transactions that write and may have begun before an erase was visible to them.
-- name: erase_writers
SELECT pg_snapshot_xmax(pg_current_snapshot())::text;

-- name: erase_writers_ended
SELECT pg_snapshot_xmin(pg_current_snapshot()) >= $1::text::xid8;

-- Events of before the newest erase. Usually none. (+ 0: by their ids, not by their times.)
-- name: erased_since
SELECT event_id, received_at FROM events
WHERE event_id = ANY($1::text[]) AND received_at + 0 <= (SELECT max(asked_at) FROM erasures);

-- name: erasures_since
SELECT who_user, who_custom, asked_at FROM erasures WHERE asked_at >= $1;

-- The items of an event of which the journal says no more whose they were.
-- name: erased_items
SELECT event_id, item_index FROM deliveries
WHERE event_id = ANY($1::text[]) AND user_id IS NULL AND custom_id IS NULL
  AND (device_id <> 0 OR reason = 'erased');

-- name: erase_names
UPDATE deliveries d SET user_id = NULL, custom_id = NULL, address_hash = ''
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::int[])
     AS told (event_id, item_index, device_id, day)
WHERE d.day = told.day AND d.event_id = told.event_id AND d.item_index = told.item_index
  AND d.device_id = told.device_id;

-- What an index tells of a person.
-- name: erase_find_events
SELECT event_id FROM deliveries WHERE user_id = $1
UNION
SELECT event_id FROM deliveries WHERE custom_id = $2
UNION
SELECT event_id FROM dead_letters WHERE user_id = $1
UNION
SELECT event_id FROM dead_letters WHERE custom_id = $2
UNION
SELECT event_id FROM event_people WHERE person IN ($1, $2)
UNION
SELECT event_id FROM learning WHERE user_id = $1
UNION
SELECT event_id FROM learning WHERE custom_id = $2
UNION
SELECT event_id FROM events WHERE status = 'ignored' AND learnt_number IS NULL
    AND (learnt_user = $1 OR learnt_custom = $2);

-- A slice of what is kept, behind a place and so many rows long: its last place, and the events
-- whose bytes have one of the needles, or a NUL, which JSON in UTF-8 never has.
-- name: search_bodies
WITH slice AS (
    SELECT event_id AS place, event_id, body FROM events
    WHERE event_id > $1 ORDER BY event_id LIMIT $2
)
SELECT max(place), array_agg(event_id) FILTER (
    WHERE position('\x00'::bytea IN body) > 0
       OR EXISTS (SELECT 1 FROM unnest($3::bytea[]) needle WHERE position(needle IN body) > 0)
) FROM slice;

-- name: search_queue
WITH slice AS (
    SELECT id AS place, event_id, items FROM queue WHERE id > $1 ORDER BY id LIMIT $2
)
SELECT max(place), array_agg(event_id) FILTER (
    WHERE position('\x00'::bytea IN items) > 0
       OR EXISTS (SELECT 1 FROM unnest($3::bytea[]) needle WHERE position(needle IN items) > 0)
) FROM slice;

-- name: search_letters
WITH slice AS (
    SELECT id AS place, event_id, raw FROM dead_letters
    WHERE id > $1 AND raw IS NOT NULL ORDER BY id LIMIT $2
)
SELECT max(place), array_agg(event_id) FILTER (
    WHERE position('\x00'::bytea IN raw) > 0
       OR EXISTS (SELECT 1 FROM unnest($3::bytea[]) needle WHERE position(needle IN raw) > 0)
) FROM slice;

-- name: search_learning
WITH slice AS (
    SELECT number AS place, event_id, body FROM learning WHERE number > $1 ORDER BY number LIMIT $2
)
SELECT max(place), array_agg(event_id) FILTER (
    WHERE event_id IS NOT NULL AND (position('\x00'::bytea IN body) > 0
       OR EXISTS (SELECT 1 FROM unnest($3::bytea[]) needle WHERE position(needle IN body) > 0))
) FROM slice;

-- name: erase_learning
SELECT body FROM learning WHERE event_id = $1;

-- A learning event that is not chained yet. Without a salt it will be chained as an emptied one.
-- name: erase_learnt
UPDATE events SET learnt_user = NULL, learnt_custom = NULL, learnt_object = NULL, learnt_salt = NULL, body = ''::bytea
WHERE event_id = $1 AND status = 'ignored' AND learnt_number IS NULL
  AND (learnt_user = $2 OR learnt_custom = $3 OR body = ''::bytea);

-- name: erase_indexes
SELECT DISTINCT item_index FROM deliveries
WHERE event_id = $1 AND (user_id = $2 OR custom_id = $3);

-- name: erase_body
SELECT status, received_at, rejections, body FROM events WHERE event_id = $1;

-- name: erase_set_body
UPDATE events SET body = $2 WHERE event_id = $1;

-- name: erase_queued
SELECT id, items FROM queue WHERE event_id = $1 ORDER BY id;

-- name: erase_raws
SELECT raw FROM dead_letters WHERE event_id = $1 AND raw IS NOT NULL;

-- name: erase_set_queued
UPDATE queue SET items = $2 WHERE id = $1;

-- name: erase_end
INSERT INTO deliveries (
    event_id, item_index, device_id, state, attempts, at, app, provider, address_hash, reason,
    vendor_id, day
)
SELECT $1, item, 0, 'no_device', 0, $3, '', '', '', $4, '', $5 FROM unnest($2::int[]) item
WHERE NOT EXISTS (
    SELECT 1 FROM deliveries WHERE day = $5 AND event_id = $1 AND item_index = item
)
ON CONFLICT DO NOTHING;

-- name: erase_deliveries
UPDATE deliveries SET user_id = NULL, custom_id = NULL, address_hash = ''
WHERE event_id = $1 AND item_index = ANY($2::int[]);

-- name: erase_failed
DELETE FROM failed_attempts WHERE event_id = $1 AND item_index = ANY($2::int[]);

-- name: erase_receipts
DELETE FROM receipts WHERE event_id = $1 AND item_index = ANY($2::int[]);

-- name: erase_dead
DELETE FROM dead_letters
WHERE event_id = $1 AND (user_id = $2 OR custom_id = $3 OR item_index = ANY($4::int[]));

-- Bytes that nobody could read may name anybody of their event.
-- name: erase_raw
UPDATE dead_letters SET raw = ''::bytea WHERE event_id = $1 AND raw IS NOT NULL;

-- name: erase_people
DELETE FROM event_people WHERE event_id = $1 AND person IN ($2, $3);

-- Its messages at a broker may name them for as long as they wait.
-- name: erase_follow
INSERT INTO erased_events (who_user, who_custom, event_id)
VALUES ($1, $2, $3) ON CONFLICT DO NOTHING;

-- name: erase_followed
SELECT event_id FROM erased_events WHERE who_user = $1 AND who_custom = $2;

-- name: erase_unfollow
DELETE FROM erased_events WHERE who_user = $1 AND who_custom = $2 AND event_id = $3;
