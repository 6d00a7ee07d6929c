-- Whoever registers one of these devices does so before or after: what its person said holds until the
-- receipts are written.
-- name: receipt_devices
SELECT 1 FROM devices WHERE id = ANY($1::bigint[]) ORDER BY id FOR NO KEY UPDATE;

-- What is known of the deliveries that these receipts are of, in the order asked.
-- name: receipt_facts
SELECT e.received_at, d.state, d.at, d.user_id, d.custom_id, d.app,
       v.app, v.user_id, v.custom_id, v.measure, v.platform, r.at,
       d.state IS NULL AND (v.id IS NULL OR coalesce(v.user_changed_at, 0) > e.received_at)
FROM unnest($1::text[], $2::int[], $3::bigint[], $4::text[], $5::int[])
     WITH ORDINALITY AS asked (event_id, item_index, device_id, kind, day, place)
LEFT JOIN events e ON e.event_id = asked.event_id
LEFT JOIN deliveries d ON d.day = asked.day AND d.event_id = asked.event_id
    AND d.item_index = asked.item_index AND d.device_id = asked.device_id
LEFT JOIN devices v ON v.id = asked.device_id
LEFT JOIN receipts r ON r.event_id = asked.event_id AND r.item_index = asked.item_index
    AND r.device_id = asked.device_id AND r.kind = asked.kind
ORDER BY asked.place;

-- Who the items of these events are for.
-- name: receipt_events
SELECT event_id, body FROM events WHERE event_id = ANY($1::text[]);

-- In the order of the key, so that two replicas that meet wait for each other in one direction. Of
-- two that tell the same at once, one finds it new.
-- name: receipts_keep
INSERT INTO receipts (event_id, item_index, device_id, kind, at, clock, day)
SELECT * FROM unnest(
    $1::text[], $2::int[], $3::bigint[], $4::text[], $5::float8[], $6::text[], $7::int[]
) AS told (event_id, item_index, device_id, kind, at, clock, day)
ORDER BY event_id, item_index, device_id, kind
ON CONFLICT (event_id, item_index, device_id, kind) DO UPDATE SET
    at = least(receipts.at, excluded.at),
    clock = CASE WHEN excluded.at < receipts.at THEN excluded.clock ELSE receipts.clock END
RETURNING event_id, item_index, device_id, kind, xmax = 0;

-- Who could have told.
-- name: tellers
SELECT id, installation_id, user_id, custom_id, measure, can FROM devices WHERE id = ANY($1::bigint[]);

-- name: receipts_of
SELECT r.event_id, r.item_index, r.device_id, r.kind, r.at, r.clock, r.day
FROM unnest($1::text[], $2::int[], $3::bigint[]) AS asked (event_id, item_index, device_id)
JOIN receipts r USING (event_id, item_index, device_id)
ORDER BY r.event_id, r.item_index, r.device_id, r.kind;

-- Of somebody who was erased, seen once what was told of them is written.
-- name: receipts_drop
DELETE FROM receipts r
USING unnest($1::text[], $2::int[]) AS hidden (event_id, item_index)
WHERE r.event_id = hidden.event_id AND r.item_index = hidden.item_index;

-- Of days whose deliveries are gone.
-- name: receipts_purge
DELETE FROM receipts WHERE (event_id, item_index, device_id, kind) IN (
    SELECT event_id, item_index, device_id, kind FROM receipts
    WHERE day < $1 AND day <> ALL($2::int[])
    ORDER BY event_id, item_index, device_id, kind LIMIT $3 FOR UPDATE SKIP LOCKED
);

-- What this device told of pushes to its person.
-- name: receipts_take_back
DELETE FROM receipts WHERE device_id = $1 AND (event_id, item_index) IN (
    SELECT event_id, item_index FROM deliveries WHERE user_id = $2 AND device_id = $1
    UNION
    SELECT event_id, item_index FROM deliveries WHERE custom_id = $3 AND device_id = $1
);
