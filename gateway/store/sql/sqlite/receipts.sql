-- What is known of the deliveries that these receipts are of, in the order asked.
-- name: receipt_facts
SELECT e.received_at, d.state, d.at, d.user_id, d.custom_id, d.app,
       v.app, v.user_id, v.custom_id, v.measure, v.platform, r.at,
       d.state IS NULL AND (v.id IS NULL OR coalesce(v.user_changed_at, 0) > e.received_at)
FROM json_each(:asked) asked
LEFT JOIN events e ON e.event_id = asked.value ->> 0
LEFT JOIN deliveries d ON d.event_id = asked.value ->> 0 AND d.item_index = asked.value ->> 1
    AND d.device_id = asked.value ->> 2
LEFT JOIN devices v ON v.id = asked.value ->> 2
LEFT JOIN receipts r ON r.event_id = asked.value ->> 0 AND r.item_index = asked.value ->> 1
    AND r.device_id = asked.value ->> 2 AND r.kind = asked.value ->> 3
ORDER BY asked.key;

-- Who the items of these events are for.
-- name: receipt_events
SELECT event_id, body FROM events
WHERE event_id IN (SELECT value FROM json_each(:events));

-- name: receipt_keep
INSERT INTO receipts (event_id, item_index, device_id, kind, at, clock, day)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (event_id, item_index, device_id, kind) DO UPDATE SET
    at = excluded.at, clock = excluded.clock
WHERE excluded.at < receipts.at;

-- Who could have told.
-- name: tellers
SELECT id, installation_id, user_id, custom_id, measure, can FROM devices
WHERE id IN (SELECT value FROM json_each(:ids));

-- name: receipts_of
SELECT r.event_id, r.item_index, r.device_id, r.kind, r.at, r.clock, r.day
FROM json_each(:asked) asked CROSS JOIN receipts r
WHERE r.event_id = asked.value ->> 0 AND r.item_index = asked.value ->> 1
  AND r.device_id = asked.value ->> 2
ORDER BY r.event_id, r.item_index, r.device_id, r.kind;

-- name: event_receipts_delete
DELETE FROM receipts
WHERE event_id = :event_id AND (item_index, device_id, kind) IN (
    SELECT item_index, device_id, kind FROM receipts WHERE event_id = :event_id LIMIT :limit
);

-- What this device told of pushes to its person.
-- name: receipts_take_back
WITH RECURSIVE runs(run) AS (
    SELECT :oldest
    UNION ALL
    SELECT run + 1 FROM runs WHERE run < :newest
), theirs AS (
    SELECT event_id, item_index FROM runs CROSS JOIN deliveries USING (run)
    WHERE user_id = :user_id AND device_id = :id
    UNION
    SELECT event_id, item_index FROM runs CROSS JOIN deliveries USING (run)
    WHERE custom_id = :custom_id AND device_id = :id
)
DELETE FROM receipts WHERE (event_id, item_index, device_id, kind) IN (
    SELECT r.event_id, r.item_index, r.device_id, r.kind FROM theirs t CROSS JOIN receipts r
    WHERE r.event_id = t.event_id AND r.item_index = t.item_index AND r.device_id = :id
);
