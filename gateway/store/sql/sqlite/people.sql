-- What one person's page asks, and the export of all that is held of them.

-- Some events that the queue holds chunks of: their bodies, where those may name somebody. The status
-- of one that was cancelled is that: its chunks end when their turn comes.
-- name: waiting_queued
SELECT event_id, source, received_at, occurred_at,
       iif(EXISTS (SELECT 1 FROM cancelled WHERE cancelled.event_id = events.event_id),
           'cancelled', status), rejections,
       iif(instr(body, x'00') > 0
           OR EXISTS (SELECT 1 FROM json_each(:needles) WHERE instr(body, CAST(value AS BLOB)) > 0),
           body, NULL), length(body) = 0
FROM events WHERE event_id IN (
    SELECT DISTINCT event_id FROM queue WHERE event_id > :after ORDER BY event_id LIMIT :rows
)
ORDER BY event_id;

-- The last event of that slice: some may be of no event that is known.
-- name: waiting_queued_end
SELECT max(event_id) FROM (
    SELECT DISTINCT event_id FROM queue WHERE event_id > :after ORDER BY event_id LIMIT :rows
);

-- name: waiting_queued_count
SELECT count(DISTINCT event_id) FROM queue;

-- name: items_journaled
SELECT DISTINCT event_id, item_index FROM json_each(:items) AS asked CROSS JOIN deliveries
WHERE event_id = asked.value ->> 0 AND item_index = asked.value ->> 1;

-- name: events_some
SELECT event_id, events.type, status, received_at, occurred_at, notifications, rejected, rejections,
       chunks, reason, x'' AS body, source, limits
FROM json_each(:events) AS asked CROSS JOIN events ON event_id = asked.value
ORDER BY received_at DESC;

-- name: events_misread
SELECT DISTINCT events.event_id, type, status, received_at, occurred_at, notifications, rejected,
       rejections, chunks, reason, x'' AS body, source, limits
FROM event_people CROSS JOIN events USING (event_id)
WHERE person IN (:user_id, :custom_id) AND (status = 'quarantined' OR rejected > 0)
ORDER BY received_at DESC LIMIT :limit;

-- name: held_named_in
SELECT event_id FROM event_people WHERE person IN (:user_id, :custom_id)
UNION
SELECT event_id FROM learning WHERE user_id = :user_id
UNION
SELECT event_id FROM learning WHERE custom_id = :custom_id
UNION
SELECT event_id FROM events WHERE status = 'ignored' AND learnt_number IS NULL
    AND (learnt_user = :user_id OR learnt_custom = :custom_id)
ORDER BY event_id;

-- name: held_letters
SELECT id, event_id, item_index, device_id, app, provider, reason, attempts, died_at, title, body, path,
       user_id, custom_id, later, raw, form
FROM dead_letters WHERE user_id = :user_id
UNION
SELECT id, event_id, item_index, device_id, app, provider, reason, attempts, died_at, title, body, path,
       user_id, custom_id, later, raw, form
FROM dead_letters WHERE custom_id = :custom_id
ORDER BY id;

-- name: held_back
SELECT h.device_id, h.app, h.provider, h.state, h.reason, h.seen_at
FROM devices d CROSS JOIN held_removals h ON h.device_id = d.id
WHERE d.user_id = :user_id OR d.custom_id = :custom_id ORDER BY h.device_id;

-- Those of the phone's former user are not theirs.
-- name: held_starts
SELECT s.received_at FROM devices d CROSS JOIN starts s ON s.device_id = d.id
WHERE (d.user_id = :user_id OR d.custom_id = :custom_id)
  AND s.received_at >= coalesce(d.user_changed_at, 0)
ORDER BY s.received_at;

-- Through all of it: nobody else asks by person, and an index would be paid at every registration.
-- name: held_forgotten
SELECT at, erased_at FROM forgotten
WHERE hash IN (SELECT value FROM json_each(:people))
   OR user_hash IN (SELECT value FROM json_each(:people))
   OR custom_hash IN (SELECT value FROM json_each(:people))
ORDER BY at, erased_at;

-- name: held_erasures
SELECT asked_at, done_at FROM erasures
WHERE (who_user = :who_user AND who_user <> '') OR (who_custom = :who_custom AND who_custom <> '')
ORDER BY asked_at;

-- name: held_following
SELECT DISTINCT event_id FROM erased_events
WHERE (who_user, who_custom) IN (
    SELECT who_user, who_custom FROM erasures
    WHERE (who_user = :who_user AND who_user <> '')
       OR (who_custom = :who_custom AND who_custom <> '')
)
ORDER BY event_id;

-- name: held_reasons
SELECT at, who, what, object, user_word, custom_word, affected, origin, remote, reason, routine
FROM audit WHERE reason <> '' AND (instr(reason, :user_id) > 0 OR instr(reason, :custom_id) > 0)
ORDER BY at;
