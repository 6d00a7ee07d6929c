-- name: erase_devices
DELETE FROM devices WHERE user_id = :user_id OR custom_id = :custom_id RETURNING *;

-- name: erase_held
DELETE FROM held_removals WHERE device_id NOT IN (SELECT id FROM devices);

-- Every event that may name the user. What is in the journal is found by its indexes; what is not
-- (queued, rejected, not understood) is looked for in the bytes, where an id stands as one of :names.
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
SELECT event_id FROM dead_letters WHERE user_id = :user_id OR custom_id = :custom_id
UNION
SELECT event_id FROM dead_letters
WHERE raw IS NOT NULL
  AND EXISTS (SELECT 1 FROM json_each(:names) WHERE instr(raw, CAST(value AS BLOB)) > 0)
UNION
SELECT event_id FROM queue
WHERE EXISTS (
    SELECT 1 FROM json_each(:names) WHERE instr(queue.items, CAST(value AS BLOB)) > 0
)
UNION
SELECT event_id FROM events
WHERE (status <> 'accepted' OR rejected > 0
       -- what is queued elsewhere is in the bodies of what is not worked through
       OR chunks > (SELECT count(*) FROM chunks_done d WHERE d.event_id = events.event_id))
  AND EXISTS (SELECT 1 FROM json_each(:names) WHERE instr(events.body, CAST(value AS BLOB)) > 0);

-- name: erase_indexes
SELECT DISTINCT item_index FROM deliveries
WHERE event_id = :event_id AND (user_id = :user_id OR custom_id = :custom_id);

-- name: erase_body
SELECT status, received_at, rejections, body FROM events WHERE event_id = :event_id;

-- name: erase_set_body
UPDATE events SET body = :body WHERE event_id = :event_id;

-- name: erase_queued
SELECT id, items FROM queue WHERE event_id = :event_id;

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

-- name: erase_dead
DELETE FROM dead_letters
WHERE event_id = :event_id
  AND (user_id = :user_id OR custom_id = :custom_id
       OR item_index IN (SELECT value FROM json_each(:indexes)));

-- Bytes that nobody could read may name anybody of their event.
-- name: erase_raw
UPDATE dead_letters SET raw = x'' WHERE event_id = :event_id AND raw IS NOT NULL;
