-- name: erase_newest
SELECT max(received_at) FROM events;

-- name: erase_devices
DELETE FROM devices WHERE user_id = :user_id OR custom_id = :custom_id RETURNING *;

-- name: erase_held
DELETE FROM held_removals WHERE device_id NOT IN (SELECT id FROM devices);

-- Before anybody can replay them: a replay begins a new life.
-- name: erase_letters
DELETE FROM dead_letters WHERE user_id = :user_id OR custom_id = :custom_id;

-- One row a person, however often it is asked: the job begins anew.
-- name: erasure_ask
INSERT INTO erasures (who_user, who_custom, asked_at, user_id, custom_id)
VALUES (:who_user, :who_custom, :now, :user_id, :custom_id)
ON CONFLICT (who_user, who_custom) DO UPDATE SET
    asked_at = excluded.asked_at, done_at = NULL,
    user_id = excluded.user_id, custom_id = excluded.custom_id;

-- name: erasure_exists
SELECT EXISTS (SELECT 1 FROM erasures);

-- name: erasure_state
SELECT max(asked_at), max(done_at), count(*) - count(done_at) FROM erasures
WHERE (who_user = :who_user AND who_user <> '') OR (who_custom = :who_custom AND who_custom <> '');

-- name: erasures_waiting
SELECT EXISTS (SELECT 1 FROM erasures WHERE done_at IS NULL);

-- All that wait, for one holder at a time; none holds for longer than this one asks to.
-- name: erasures_take
UPDATE erasures SET holder = :holder, held_until = :until
WHERE done_at IS NULL
  AND (holder = :holder OR held_until NOT BETWEEN :now AND :until)
  AND NOT EXISTS (SELECT 1 FROM erasures WHERE done_at IS NULL AND holder <> :holder
                  AND held_until BETWEEN :now AND :until)
RETURNING who_user, who_custom, asked_at, user_id, custom_id;

-- name: erasures_hold
UPDATE erasures SET held_until = :until WHERE holder = :holder AND done_at IS NULL;

-- name: erasures_let_go
UPDATE erasures SET held_until = 0 WHERE holder = :holder;

-- Nothing names them any more: nor does this row. One that was asked again meanwhile waits.
-- name: erasure_unname
UPDATE erasures SET user_id = NULL, custom_id = NULL
WHERE who_user = :who_user AND who_custom = :who_custom AND asked_at = :asked_at;

-- name: erasure_done
UPDATE erasures SET done_at = :now
WHERE who_user = :who_user AND who_custom = :who_custom AND asked_at = :asked_at
  AND user_id IS NULL AND custom_id IS NULL AND done_at IS NULL;

-- name: erasures_purge
DELETE FROM erasures WHERE asked_at < :before AND done_at IS NOT NULL;

-- Events of before the newest erase. Usually none. (+: by their ids, not by their times.)
-- name: erased_since
SELECT event_id, received_at FROM events
WHERE event_id IN (SELECT value FROM json_each(:events))
  AND +received_at <= (SELECT max(asked_at) FROM erasures);

-- name: erasures_since
SELECT who_user, who_custom, asked_at FROM erasures WHERE asked_at >= :since;

-- The items of an event of which the journal says no more whose they were.
-- name: erased_items
SELECT event_id, item_index FROM deliveries
WHERE event_id IN (SELECT value FROM json_each(:events))
  AND user_id IS NULL AND custom_id IS NULL
  AND (device_id <> 0 OR reason = 'erased');

-- What an index tells of a person.
-- name: erase_find_events
WITH RECURSIVE runs(run) AS (
    SELECT :oldest
    UNION ALL
    SELECT run + 1 FROM runs WHERE run < :newest
)
SELECT event_id FROM runs CROSS JOIN deliveries USING (run) WHERE user_id = :user_id
UNION
SELECT event_id FROM runs CROSS JOIN deliveries USING (run) WHERE custom_id = :custom_id
UNION
SELECT event_id FROM dead_letters WHERE user_id = :user_id
UNION
SELECT event_id FROM dead_letters WHERE custom_id = :custom_id
UNION
SELECT event_id FROM event_people WHERE person IN (:user_id, :custom_id)
UNION
SELECT event_id FROM learning WHERE user_id = :user_id
UNION
SELECT event_id FROM learning WHERE custom_id = :custom_id
UNION
SELECT event_id FROM events WHERE status = 'ignored' AND learnt_number IS NULL
    AND (learnt_user = :user_id OR learnt_custom = :custom_id);

-- A slice of what is kept, behind a place and so many rows long: its last place, and the events
-- whose bytes have one of the needles, or a NUL, which JSON in UTF-8 never has.
-- name: search_bodies
WITH slice AS (
    SELECT rowid AS place, event_id, body FROM events WHERE rowid > :after ORDER BY rowid LIMIT :rows
)
SELECT max(place), json_group_array(event_id) FILTER (
    WHERE instr(body, x'00') > 0
       OR EXISTS (SELECT 1 FROM json_each(:needles) WHERE instr(body, CAST(value AS BLOB)) > 0)
) FROM slice;

-- name: search_queue
WITH slice AS (
    SELECT id AS place, event_id, items FROM queue WHERE id > :after ORDER BY id LIMIT :rows
)
SELECT max(place), json_group_array(event_id) FILTER (
    WHERE instr(items, x'00') > 0
       OR EXISTS (SELECT 1 FROM json_each(:needles) WHERE instr(items, CAST(value AS BLOB)) > 0)
) FROM slice;

-- name: search_letters
WITH slice AS (
    SELECT id AS place, event_id, raw FROM dead_letters
    WHERE id > :after AND raw IS NOT NULL ORDER BY id LIMIT :rows
)
SELECT max(place), json_group_array(event_id) FILTER (
    WHERE instr(raw, x'00') > 0
       OR EXISTS (SELECT 1 FROM json_each(:needles) WHERE instr(raw, CAST(value AS BLOB)) > 0)
) FROM slice;

-- name: search_learning
WITH slice AS (
    SELECT number AS place, event_id, body FROM learning WHERE number > :after ORDER BY number LIMIT :rows
)
SELECT max(place), json_group_array(event_id) FILTER (
    WHERE event_id IS NOT NULL AND (instr(body, x'00') > 0
       OR EXISTS (SELECT 1 FROM json_each(:needles) WHERE instr(body, CAST(value AS BLOB)) > 0))
) FROM slice;

-- name: erase_learning
SELECT body FROM learning WHERE event_id = :event_id AND event_id IS NOT NULL;

-- A learning event that is not chained yet. Without a salt it will be chained as an emptied one.
-- name: erase_learnt
UPDATE events SET learnt_user = NULL, learnt_custom = NULL, learnt_object = NULL, learnt_salt = NULL, body = x''
WHERE event_id = :event_id AND status = 'ignored' AND learnt_number IS NULL
  AND (learnt_user = :user_id OR learnt_custom = :custom_id OR body = x'');

-- name: erasure_asked
SELECT max(asked_at) FROM erasures WHERE who_user = :who_user AND who_custom = :who_custom;

-- name: erase_indexes
SELECT DISTINCT item_index FROM deliveries
WHERE event_id = :event_id AND (user_id = :user_id OR custom_id = :custom_id);

-- name: erase_body
SELECT status, received_at, rejections, body FROM events WHERE event_id = :event_id;

-- name: erase_set_body
UPDATE events SET body = :body WHERE event_id = :event_id;

-- name: erase_queued
SELECT id, items FROM queue WHERE event_id = :event_id;

-- name: erase_raws
SELECT raw FROM dead_letters WHERE event_id = :event_id AND raw IS NOT NULL;

-- name: erase_set_queued
UPDATE queue SET items = :items WHERE id = :id;

-- name: erase_end
INSERT INTO deliveries (
    event_id, item_index, device_id, state, attempts, at, app, provider, address_hash, reason,
    vendor_id, day
)
SELECT :event_id, value, 0, 'no_device', 0, :now, '', '', '', :reason, '', :day
FROM json_each(:ended)
WHERE NOT EXISTS (
    SELECT 1 FROM deliveries WHERE event_id = :event_id AND item_index = value
);

-- name: erase_deliveries
UPDATE deliveries SET user_id = NULL, custom_id = NULL, address_hash = ''
WHERE event_id = :event_id AND item_index IN (SELECT value FROM json_each(:indexes));

-- name: erase_failed
DELETE FROM failed_attempts
WHERE event_id = :event_id AND item_index IN (SELECT value FROM json_each(:indexes));

-- name: erase_receipts
DELETE FROM receipts
WHERE event_id = :event_id AND item_index IN (SELECT value FROM json_each(:indexes));

-- name: erase_dead
DELETE FROM dead_letters
WHERE event_id = :event_id
  AND (user_id = :user_id OR custom_id = :custom_id
       OR item_index IN (SELECT value FROM json_each(:indexes)));

-- Bytes that nobody could read may name anybody of their event.
-- name: erase_raw
UPDATE dead_letters SET raw = x'' WHERE event_id = :event_id AND raw IS NOT NULL;

-- name: erase_people
DELETE FROM event_people WHERE event_id = :event_id AND person IN (:user_id, :custom_id);

-- Its messages at a broker may name them for as long as they wait.
-- name: erase_follow
INSERT INTO erased_events (who_user, who_custom, event_id)
VALUES (:who_user, :who_custom, :event_id) ON CONFLICT DO NOTHING;

-- name: erase_followed
SELECT event_id FROM erased_events WHERE who_user = :who_user AND who_custom = :who_custom;

-- name: erase_unfollow
DELETE FROM erased_events
WHERE who_user = :who_user AND who_custom = :who_custom AND event_id = :event_id;
