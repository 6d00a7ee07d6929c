-- name: event_insert
INSERT INTO events (
    event_id, type, status, received_at, occurred_at, notifications, rejected, rejections,
    chunks, reason, body, source, limits, learnt_user,
    learnt_custom, learnt_object, learnt_salt, learnt_digest
) VALUES (
    :event_id, :type, :status, :received_at, :occurred_at, :notifications, :rejected, :rejections,
    :chunks, :reason, :body, :source, :limits, :learnt_user,
    :learnt_custom, :learnt_object, :learnt_salt, :learnt_digest
) ON CONFLICT (event_id) DO NOTHING;

-- name: people_insert
INSERT INTO event_people (person, event_id) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- name: event_replace
UPDATE events SET
    type = :type, status = :status, occurred_at = :occurred_at, notifications = :notifications,
    rejected = :rejected, rejections = :rejections, chunks = :chunks, reason = :reason
WHERE event_id = :event_id AND status NOT IN ('accepting', 'accepted');

-- name: event_set_body
UPDATE events SET body = :by WHERE event_id = :event_id AND body = :body;

-- name: event_get
SELECT event_id, type, status, received_at, occurred_at, notifications, rejected, rejections,
       chunks, reason, body, source, limits
FROM events WHERE event_id = :event_id;

-- name: events_page
SELECT event_id, type, status, received_at, occurred_at, notifications, rejected, rejections,
       chunks, reason, x'' AS body, source, limits
FROM events
WHERE (:status IS NULL OR status = :status) AND (:before IS NULL OR received_at < :before)
  AND (:source IS NULL OR source = :source)
ORDER BY received_at DESC LIMIT :limit;

-- name: event_states
SELECT state, count(*) FROM deliveries WHERE event_id = :event_id GROUP BY state;

-- name: event_items_seen
SELECT count(*) FROM (SELECT DISTINCT item_index FROM deliveries WHERE event_id = :event_id);

-- name: event_is_queued
SELECT EXISTS (SELECT 1 FROM queue WHERE event_id = :event_id);

-- name: event_chunks_done
SELECT count(*) FROM chunks_done WHERE event_id = :event_id;

-- name: chunk_done
INSERT INTO chunks_done (event_id, number) VALUES (?, ?) ON CONFLICT DO NOTHING;

-- What is known of some items; index -1: the event was cancelled.
-- name: progress
SELECT item_index, device_id, state, attempts, next_at FROM deliveries
WHERE event_id = :event_id AND item_index BETWEEN :low AND :high
UNION ALL
SELECT -1, 0, 'cancelled', 0, NULL FROM cancelled WHERE event_id = :event_id;

-- Only of a chunk that is tried alone: did it get anywhere since it was claimed before?
-- name: journaled_since
SELECT item_index, device_id FROM deliveries
WHERE event_id = :event_id AND item_index BETWEEN :low AND :high AND at > :since;

-- name: deliveries_between
SELECT event_id, item_index, device_id, state, attempts, at, user_id, custom_id, app, provider,
       address_hash, reason, vendor_id, next_at, day, run
FROM deliveries WHERE event_id = :event_id AND item_index BETWEEN :low AND :high;

-- name: delivery_upsert
INSERT INTO deliveries (
    event_id, item_index, device_id, state, attempts, at, user_id, custom_id, app, provider,
    address_hash, reason, vendor_id, next_at, day, run
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (event_id, item_index, device_id) DO UPDATE SET
    state = excluded.state, attempts = excluded.attempts, at = excluded.at,
    address_hash = excluded.address_hash,
    reason = CASE WHEN excluded.state = 'pending' AND excluded.reason = ''
             THEN deliveries.reason ELSE excluded.reason END,
    vendor_id = CASE WHEN excluded.vendor_id = '' THEN deliveries.vendor_id
                ELSE excluded.vendor_id END,
    next_at = excluded.next_at, run = excluded.run
WHERE deliveries.state = 'pending';

-- The oldest run and the newest: each bound is one look at the end of an index.
-- name: runs
SELECT min(oldest), max(newest) FROM (
    SELECT (SELECT min(run) FROM deliveries WHERE user_id IS NOT NULL) AS oldest,
           (SELECT max(run) FROM deliveries WHERE user_id IS NOT NULL) AS newest
    UNION ALL
    SELECT (SELECT min(run) FROM deliveries WHERE custom_id IS NOT NULL),
           (SELECT max(run) FROM deliveries WHERE custom_id IS NOT NULL)
);

-- name: deliveries_of_user_in_run
SELECT * FROM deliveries
WHERE run = :run AND user_id = :user_id AND at >= coalesce(:since, 0)
UNION
SELECT * FROM deliveries
WHERE run = :run AND custom_id = :custom_id AND at >= coalesce(:since, 0)
ORDER BY at DESC, event_id, item_index, device_id LIMIT :limit;

-- name: deliveries_of_event
SELECT * FROM deliveries WHERE event_id = :event_id ORDER BY item_index, device_id;

-- name: dead_insert
INSERT INTO dead_letters (
    event_id, item_index, device_id, app, provider, reason, attempts, died_at,
    title, body, path, user_id, custom_id, later, raw, form
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (event_id, item_index, device_id) DO UPDATE SET
    reason = excluded.reason, attempts = excluded.attempts, died_at = excluded.died_at,
    taken_at = NULL;

-- name: failed_upsert
INSERT INTO failed_attempts (event_id, item_index, device_id, failures, said)
VALUES (?, ?, ?, ?, ?)
ON CONFLICT (event_id, item_index, device_id) DO UPDATE SET
    failures = failed_attempts.failures + excluded.failures,
    said = substr(excluded.said || failed_attempts.said, 1, 600);

-- name: failed_get
SELECT event_id, item_index, device_id, failures, said
FROM json_each(:keys) AS asked CROSS JOIN failed_attempts
WHERE event_id = asked.value ->> 0 AND item_index = asked.value ->> 1
  AND device_id = asked.value ->> 2;

-- name: dead_page
SELECT id, event_id, item_index, device_id, app, provider, reason, attempts, died_at, title, body, path,
       user_id, custom_id, later, raw, form
FROM dead_letters WHERE :event_id IS NULL OR event_id = :event_id
ORDER BY died_at DESC, id DESC LIMIT :limit;

-- name: dead_by_ids
SELECT id, event_id, item_index, device_id, app, provider, dead_letters.reason, attempts, died_at, title,
       dead_letters.body, path, user_id, custom_id, later, raw, form, taken_at,
       EXISTS (SELECT 1 FROM cancelled WHERE cancelled.event_id = dead_letters.event_id),
       events.received_at
FROM dead_letters LEFT JOIN events USING (event_id)
WHERE :ids IS NULL OR id IN (SELECT value FROM json_each(:ids))
ORDER BY event_id, item_index, device_id;

-- name: dead_delete
DELETE FROM dead_letters WHERE :ids IS NULL OR id IN (SELECT value FROM json_each(:ids));

-- name: delivery_revive
UPDATE deliveries SET state = 'pending', attempts = 0, at = :now, next_at = :now, run = :run
WHERE event_id = :event_id AND item_index = :item_index AND device_id = :device_id
  AND state = 'dead';

-- name: delivery_forget
DELETE FROM deliveries
WHERE event_id = :event_id AND item_index = :item_index AND device_id = :device_id
  AND state = 'dead';

-- name: old_events
SELECT event_id FROM events
WHERE received_at < :before AND NOT (status = 'ignored' AND learnt_number IS NULL)
  AND NOT EXISTS (SELECT 1 FROM queue WHERE queue.event_id = events.event_id)
ORDER BY received_at LIMIT :limit;

-- name: event_deliveries_delete
DELETE FROM deliveries
WHERE event_id = :event_id AND (item_index, device_id) IN (
    SELECT item_index, device_id FROM deliveries WHERE event_id = :event_id LIMIT :limit
);

-- name: event_chunks_delete
DELETE FROM chunks_done WHERE event_id = :event_id;

-- name: event_failed_delete
DELETE FROM failed_attempts WHERE event_id = :event_id;

-- name: event_people_delete
DELETE FROM event_people WHERE event_id = :event_id;

-- name: event_dead_delete
DELETE FROM dead_letters WHERE event_id = :event_id;

-- name: event_delete
DELETE FROM events WHERE event_id = :event_id;

-- Bytes that nobody could read, of an event that nobody knows.
-- name: dead_orphans
DELETE FROM dead_letters
WHERE raw IS NOT NULL AND died_at < ?
  AND NOT EXISTS (SELECT 1 FROM events WHERE events.event_id = dead_letters.event_id);
