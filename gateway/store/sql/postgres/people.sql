-- What one person's page asks, and the export of all that is held of them.

-- Some events that the queue holds chunks of: their bodies, where those may name somebody. The status
-- of one that was cancelled is that: its chunks end when their turn comes.
-- name: waiting_queued
SELECT event_id, source, received_at, occurred_at,
       CASE WHEN EXISTS (SELECT 1 FROM cancelled c WHERE c.event_id = events.event_id)
       THEN 'cancelled' ELSE status END, rejections,
       CASE WHEN position('\x00'::bytea IN body) > 0
            OR EXISTS (SELECT 1 FROM unnest($3::bytea[]) needle WHERE position(needle IN body) > 0)
       THEN body END, length(body) = 0
FROM events WHERE event_id = ANY(ARRAY(
    SELECT DISTINCT event_id FROM queue WHERE event_id > $1 ORDER BY event_id LIMIT $2
))
ORDER BY event_id;

-- The last event of that slice: some may be of no event that is known.
-- name: waiting_queued_end
SELECT max(event_id) FROM (
    SELECT DISTINCT event_id FROM queue WHERE event_id > $1 ORDER BY event_id LIMIT $2
) slice;

-- name: waiting_queued_count
SELECT count(DISTINCT event_id) FROM queue;

-- The same where a broker has the queue: newest first, among all that it may hold chunks of. A row
-- of each event of the slice, for the next one begins behind the last.
-- name: waiting_since
WITH slice AS (
    SELECT event_id, received_at, status, chunks FROM events
    WHERE received_at >= $1 AND (received_at, event_id) < ($2, $3)
    ORDER BY received_at DESC, event_id DESC LIMIT $4
), open AS (
    SELECT s.event_id FROM slice s
    WHERE s.status IN ('accepting', 'accepted')
      AND s.chunks > (SELECT count(*) FROM chunks_done d WHERE d.event_id = s.event_id)
)
SELECT s.event_id, e.source, s.received_at, e.occurred_at,
       CASE WHEN EXISTS (SELECT 1 FROM cancelled c WHERE c.event_id = s.event_id)
       THEN 'cancelled' ELSE s.status END, e.rejections,
       CASE WHEN position('\x00'::bytea IN e.body) > 0
            OR EXISTS (SELECT 1 FROM unnest($5::bytea[]) needle WHERE position(needle IN e.body) > 0)
       THEN e.body END, length(e.body) = 0
FROM slice s LEFT JOIN open o USING (event_id) LEFT JOIN events e ON e.event_id = o.event_id
ORDER BY s.received_at DESC, s.event_id DESC;

-- name: waiting_since_count
SELECT count(*) FROM events e
WHERE received_at >= $1 AND status IN ('accepting', 'accepted')
  AND chunks > (SELECT count(*) FROM chunks_done d WHERE d.event_id = e.event_id);

-- name: items_journaled
SELECT DISTINCT d.event_id, d.item_index
FROM unnest($1::int[], $2::text[], $3::int[]) AS asked (day, event_id, item_index)
JOIN deliveries d USING (day, event_id, item_index);

-- name: events_some
SELECT event_id, type, status, received_at, occurred_at, notifications, rejected, rejections,
       chunks, reason, ''::bytea AS body, source, limits
FROM events WHERE event_id = ANY($1::text[])
ORDER BY received_at DESC;

-- name: events_misread
SELECT event_id, type, status, received_at, occurred_at, notifications, rejected, rejections,
       chunks, reason, ''::bytea AS body, source, limits
FROM events
WHERE event_id = ANY(ARRAY(SELECT event_id FROM event_people WHERE person IN ($1, $2)))
  AND (status = 'quarantined' OR rejected > 0)
ORDER BY received_at DESC LIMIT $3;

-- name: held_named_in
SELECT event_id FROM event_people WHERE person IN ($1, $2)
UNION
SELECT event_id FROM learning WHERE user_id = $1
UNION
SELECT event_id FROM learning WHERE custom_id = $2
UNION
SELECT event_id FROM events WHERE status = 'ignored' AND learnt_number IS NULL
    AND (learnt_user = $1 OR learnt_custom = $2)
ORDER BY event_id;

-- name: held_letters
SELECT id, event_id, item_index, device_id, app, provider, reason, attempts, died_at, title, body, path,
       user_id, custom_id, later, raw, form
FROM dead_letters WHERE user_id = $1 OR custom_id = $2
ORDER BY id;

-- name: held_back
SELECT h.device_id, h.app, h.provider, h.state, h.reason, h.seen_at
FROM devices d JOIN held_removals h ON h.device_id = d.id
WHERE d.user_id = $1 OR d.custom_id = $2 ORDER BY h.device_id;

-- Those of the phone's former user are not theirs.
-- name: held_starts
SELECT s.received_at FROM devices d JOIN starts s ON s.device_id = d.id
WHERE (d.user_id = $1 OR d.custom_id = $2) AND s.received_at >= coalesce(d.user_changed_at, 0)
ORDER BY s.received_at;

-- Through all of it: nobody else asks by person, and an index would be paid at every registration.
-- name: held_forgotten
SELECT at, erased_at FROM forgotten
WHERE hash = ANY($1::bigint[]) OR user_hash = ANY($1) OR custom_hash = ANY($1)
ORDER BY at, erased_at;

-- name: held_erasures
SELECT asked_at, done_at FROM erasures
WHERE (who_user = $1 AND who_user <> '') OR (who_custom = $2 AND who_custom <> '')
ORDER BY asked_at;

-- name: held_following
SELECT DISTINCT f.event_id FROM erasures e JOIN erased_events f USING (who_user, who_custom)
WHERE (e.who_user = $1 AND e.who_user <> '') OR (e.who_custom = $2 AND e.who_custom <> '')
ORDER BY f.event_id;

-- As audit_of_user and audit_reasons, which lock what they find.
-- name: held_acts
SELECT at, who, what, object, user_word, custom_word, affected, origin, remote, reason, routine
FROM audit
WHERE (user_word = $1 AND user_word <> '') OR (custom_word = $2 AND custom_word <> '')
ORDER BY at, who, what, object;

-- name: held_reasons
SELECT at, who, what, object, user_word, custom_word, affected, origin, remote, reason, routine
FROM audit WHERE reason <> '' AND (strpos(reason, $1) > 0 OR strpos(reason, $2) > 0)
ORDER BY at;
