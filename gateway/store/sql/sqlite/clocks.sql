-- name: clock_report
INSERT INTO clocks (name, at, ahead, doubt, told, since)
VALUES (:name, :at, :ahead, :doubt, :told, :since)
ON CONFLICT (name) DO UPDATE SET
    at = excluded.at, ahead = excluded.ahead, doubt = excluded.doubt, told = excluded.told,
    since = excluded.since;

-- A clock that was wrong may have been so by years: what it dated is still to be put right.
-- name: clocks_old
DELETE FROM clocks WHERE at < :before AND doubt <> 'contradicted';

-- name: clocks_all
SELECT name, at, ahead, doubt, told, since FROM clocks ORDER BY name;

-- name: clock_leave
DELETE FROM clocks WHERE name = ?;

-- What the relay accepted while its time was wrong: it has the life that it had.
-- name: redate_queue
UPDATE queue SET first_seen = first_seen + :by, deadline = deadline + :by, due_at = due_at + :by
WHERE first_seen BETWEEN :since AND :until;

-- What it put off meanwhile, when its clock was ahead. (When it was behind, that is due already.)
-- name: redate_due
UPDATE queue SET due_at = due_at + :by
WHERE :by < 0 AND due_at >= :since AND first_seen NOT BETWEEN :since + :by AND :until + :by;

-- What failed meanwhile waits for as long as its vendor asked; and what was made to wait before, by a
-- clock that was ahead as well.
-- name: redate_waiting
UPDATE deliveries SET next_at = next_at + :by, at = at + :by * (at BETWEEN :since AND :until)
WHERE state = 'pending' AND (at BETWEEN :since AND :until OR (:by < 0 AND next_at >= :since))
  AND event_id IN (SELECT event_id FROM queue);

-- name: redate_events
UPDATE events SET received_at = received_at + :by WHERE received_at BETWEEN :since AND :until;

-- Its own, and nobody else's: one relay works on a file. It claims them anew.
-- name: redate_leases
UPDATE queue SET due_at = :now, lease_id = NULL, tries = max(tries - 1, 0), alone = 0
WHERE lease_id IS NOT NULL;

-- Whatever a date is of: an erase has to stay before what came after it, or its user gets nothing for
-- as long as the clock was ahead; and after what came before it, or that is sent.
-- name: redate_devices
UPDATE devices SET
    last_seen_at = last_seen_at + :by * (last_seen_at BETWEEN :since AND :until),
    erased_at = erased_at + :by * (erased_at BETWEEN :since AND :until),
    registered_at = registered_at + :by * (registered_at BETWEEN :since AND :until),
    state_at = state_at + :by * (state_at BETWEEN :since AND :until),
    user_changed_at = user_changed_at + :by * (user_changed_at BETWEEN :since AND :until)
WHERE last_seen_at BETWEEN :since AND :until
   OR erased_at BETWEEN :since AND :until
   OR registered_at BETWEEN :since AND :until
   OR state_at BETWEEN :since AND :until
   OR user_changed_at BETWEEN :since AND :until;

-- name: redate_erasures
UPDATE erasures SET
    asked_at = asked_at + :by * (asked_at BETWEEN :since AND :until),
    done_at = done_at + :by * (done_at BETWEEN :since AND :until)
WHERE asked_at BETWEEN :since AND :until
   OR done_at BETWEEN :since AND :until;

-- name: redate_forgotten
UPDATE forgotten SET
    at = at + :by * (at BETWEEN :since AND :until),
    erased_at = erased_at + :by * (erased_at BETWEEN :since AND :until),
    user_changed_at = user_changed_at + :by * (user_changed_at BETWEEN :since AND :until)
WHERE at BETWEEN :since AND :until
   OR erased_at BETWEEN :since AND :until
   OR user_changed_at BETWEEN :since AND :until;

-- The clock of now may be behind: what came in its future is not made to wait until it is set.
-- name: rouse_future
UPDATE queue SET due_at = :now
WHERE first_seen > :latest AND due_at > :now AND lease_id IS NULL;

-- What a process dated by a clock that was ahead, before it was killed: it came now at the latest.
-- name: recall_future
UPDATE queue SET due_at = :now, deadline = deadline - (first_seen - :now), first_seen = :now
WHERE first_seen > :latest AND lease_id IS NULL;

-- What it put off for longer than it is fresh.
-- name: recall_due
UPDATE queue SET due_at = :now WHERE due_at > deadline + :slack AND lease_id IS NULL;

-- A process ended while its clock was wrong: what it took in has the life that it had.
-- name: recall_life
UPDATE queue SET deadline = deadline - (first_seen - :now), first_seen = :now
WHERE first_seen BETWEEN :since AND :until;

-- Nobody knows which due times are its own.
-- name: recall_whole
UPDATE queue SET due_at = :now WHERE due_at > :now AND lease_id IS NULL;

-- name: recall_waiting
UPDATE deliveries SET next_at = :now
WHERE state = 'pending' AND next_at > :now AND event_id IN (SELECT event_id FROM queue);
