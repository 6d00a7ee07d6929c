-- name: erase_devices
DELETE FROM devices WHERE user_id = $1 OR custom_id = $2 RETURNING *;

-- name: erase_held
DELETE FROM held_removals h WHERE NOT EXISTS (SELECT 1 FROM devices d WHERE d.id = h.device_id);

-- Every event that may name the user. What is in the journal is found by its indexes; what is not
-- (queued, rejected, not understood) is looked for in the bytes, where an id stands as one of $3.
-- name: erase_find_events
SELECT event_id FROM deliveries WHERE user_id = $1
UNION
SELECT event_id FROM deliveries WHERE custom_id = $2
UNION
SELECT event_id FROM dead_letters WHERE user_id = $1 OR custom_id = $2
UNION
SELECT event_id FROM dead_letters
WHERE raw IS NOT NULL
  AND EXISTS (SELECT 1 FROM unnest($3::bytea[]) name WHERE position(name IN raw) > 0)
UNION
SELECT event_id FROM queue
WHERE EXISTS (SELECT 1 FROM unnest($3::bytea[]) name WHERE position(name IN queue.items) > 0)
UNION
SELECT event_id FROM events
WHERE (status <> 'accepted' OR rejected > 0
       -- what is queued elsewhere is in the bodies of what is not worked through
       OR chunks > (SELECT count(*) FROM chunks_done d WHERE d.event_id = events.event_id))
  AND EXISTS (SELECT 1 FROM unnest($3::bytea[]) name WHERE position(name IN events.body) > 0);

-- name: erase_indexes
SELECT DISTINCT item_index FROM deliveries
WHERE event_id = $1 AND (user_id = $2 OR custom_id = $3);

-- name: erase_body
SELECT status, received_at, rejections, body FROM events WHERE event_id = $1 FOR UPDATE;

-- name: erase_set_body
UPDATE events SET body = $2 WHERE event_id = $1;

-- name: erase_queued
SELECT id, items FROM queue WHERE event_id = $1 ORDER BY id FOR UPDATE;

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

-- name: erase_dead
DELETE FROM dead_letters
WHERE event_id = $1 AND (user_id = $2 OR custom_id = $3 OR item_index = ANY($4::int[]));

-- Bytes that nobody could read may name anybody of their event.
-- name: erase_raw
UPDATE dead_letters SET raw = ''::bytea WHERE event_id = $1 AND raw IS NOT NULL;
