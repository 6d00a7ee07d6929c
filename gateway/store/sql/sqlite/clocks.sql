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
UPDATE events SET received_at = received_at + :by,
    learnt_digest = iif(
        learnt_number IS NULL AND learnt_salt IS NOT NULL, NULL, learnt_digest
    )
WHERE received_at BETWEEN :since AND :until;

-- name: redate_starts
UPDATE starts SET received_at = received_at + :by WHERE received_at BETWEEN :since AND :until;

-- Who may start until when: by a clock that was ahead, nobody else could for as long.
-- name: redate_holders
UPDATE starts SET until = until + :by WHERE :by < 0 AND until > :now;

-- name: redate_receipts
UPDATE receipts SET at = at + :by WHERE at BETWEEN :since AND :until;

-- name: redate_cancelled
UPDATE cancelled SET at = at + :by, until = until + :by, deadline = deadline + :by
WHERE at BETWEEN :since AND :until;

-- name: redate_suppressions
UPDATE suppressions SET received_at = received_at + :by, at = at + :by * (at = received_at)
WHERE received_at BETWEEN :since AND :until;

-- Nobody is held for longer, nor for less long: until when somebody is goes with since when.
-- name: redate_members
UPDATE experiment_members SET since = since + :by, until = until + :by
WHERE since BETWEEN :since AND :until;

-- name: redate_held
UPDATE experiment_held SET seen_at = seen_at + :by WHERE seen_at BETWEEN :since AND :until;

-- name: redate_left_out
UPDATE experiment_left_out SET since = since + :by WHERE since BETWEEN :since AND :until;

-- name: redate_exempt
UPDATE experiment_exempt SET since = since + :by WHERE since BETWEEN :since AND :until;

-- When one ends is in its terms.
-- name: redate_experiments
UPDATE experiments SET
    dry_at = dry_at + :by * (dry_at BETWEEN :since AND :until),
    started_at = started_at + :by * (started_at BETWEEN :since AND :until),
    ended_at = ended_at + :by * (ended_at BETWEEN :since AND :until)
WHERE dry_at BETWEEN :since AND :until
   OR started_at BETWEEN :since AND :until
   OR ended_at BETWEEN :since AND :until;

-- Its own, and nobody else's: one relay works on a file. It claims them anew.
-- name: redate_leases
UPDATE queue SET due_at = :now, lease_id = NULL, tries = max(tries - 1, 0), alone = 0
WHERE lease_id IS NOT NULL;

-- Whatever a date is of: an erase has to stay before what came after it, or its user gets nothing for
-- as long as the clock was ahead; and after what came before it, or that is sent.
-- name: redate_devices
UPDATE devices SET
    last_seen_at = last_seen_at + :by * (last_seen_at BETWEEN :since AND :until),
    heard_at = heard_at + :by * (heard_at BETWEEN :since AND :until),
    erased_at = erased_at + :by * (erased_at BETWEEN :since AND :until),
    registered_at = registered_at + :by * (registered_at BETWEEN :since AND :until),
    state_at = state_at + :by * (state_at BETWEEN :since AND :until),
    user_changed_at = user_changed_at + :by * (user_changed_at BETWEEN :since AND :until)
WHERE last_seen_at BETWEEN :since AND :until
   OR heard_at BETWEEN :since AND :until
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

-- An erase is never dated before the newest event, so one by a clock that was behind has that event's
-- date, and nobody knows which of the events of then came before it. It was before now, and nothing
-- of before it may be sent.
-- name: late_devices
UPDATE devices SET erased_at = :now
WHERE erased_at > 0 AND erased_at IN (
    SELECT received_at FROM events WHERE received_at > :latest
    UNION ALL SELECT max(received_at) FROM events WHERE received_at < :began
);

-- name: late_forgotten
UPDATE forgotten SET at = :now, erased_at = :now
WHERE erased_at > 0 AND erased_at IN (
    SELECT received_at FROM events WHERE received_at > :latest
    UNION ALL SELECT max(received_at) FROM events WHERE received_at < :began
);

-- name: late_erasures
UPDATE erasures SET asked_at = :now
WHERE asked_at IN (
    SELECT received_at FROM events WHERE received_at > :latest
    UNION ALL SELECT max(received_at) FROM events WHERE received_at < :began
);

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

-- Each by an index, for that is asked at every start.
-- name: dates_newest
SELECT max(at) FROM (
    SELECT max(received_at) AS at FROM events
    UNION ALL
    SELECT max(asked_at) FROM erasures
    UNION ALL
    SELECT max(at) FROM forgotten
);

-- Processes ended while their clocks were wrong. Nobody knows by how much, but their dates have an
-- order: an erase came after what is older by them. Here is what each date was, and what it becomes.
-- name: recall_begin
CREATE TEMP TABLE recalled (was REAL PRIMARY KEY, becomes REAL) WITHOUT ROWID;

-- (0 is no date: never.)
-- name: recall_dates
INSERT OR IGNORE INTO recalled (was)
SELECT at FROM (
    SELECT first_seen AS at FROM queue
    UNION ALL SELECT received_at FROM events
    UNION ALL SELECT asked_at FROM erasures
    UNION ALL SELECT done_at FROM erasures
    UNION ALL SELECT last_seen_at FROM devices
    UNION ALL SELECT heard_at FROM devices
    UNION ALL SELECT erased_at FROM devices
    UNION ALL SELECT registered_at FROM devices
    UNION ALL SELECT state_at FROM devices
    UNION ALL SELECT user_changed_at FROM devices
    UNION ALL SELECT at FROM forgotten
    UNION ALL SELECT erased_at FROM forgotten
    UNION ALL SELECT user_changed_at FROM forgotten
    UNION ALL SELECT received_at FROM starts
    UNION ALL SELECT at FROM receipts
    UNION ALL SELECT at FROM cancelled
    UNION ALL SELECT since FROM experiment_members
    UNION ALL SELECT seen_at FROM experiment_held
    UNION ALL SELECT since FROM experiment_left_out
    UNION ALL SELECT since FROM experiment_exempt
    UNION ALL SELECT dry_at FROM experiments
    UNION ALL SELECT started_at FROM experiments
    UNION ALL SELECT ended_at FROM experiments
)
WHERE at BETWEEN :since AND :until AND at > 0;

-- A microsecond apart: so little that all of it is newer than what was dated before by a clock that
-- was right, and more than the least that two dates differ by.
-- name: recall_order
UPDATE recalled SET becomes = :began - 1e-6 * ranked.place
FROM (SELECT was, row_number() OVER (ORDER BY was DESC) AS place FROM recalled) AS ranked
WHERE recalled.was = ranked.was;

-- name: recall_queue
UPDATE queue SET
    due_at = :now, deadline = deadline - first_seen + :now,
    first_seen = (SELECT becomes FROM recalled WHERE was = first_seen)
WHERE first_seen IN (SELECT was FROM recalled);

-- name: recall_events
UPDATE events SET received_at = (SELECT becomes FROM recalled WHERE was = received_at),
    learnt_digest = iif(
        learnt_number IS NULL AND learnt_salt IS NOT NULL, NULL, learnt_digest
    )
WHERE received_at IN (SELECT was FROM recalled);

-- name: recall_starts
UPDATE starts SET received_at = (SELECT becomes FROM recalled WHERE was = received_at)
WHERE received_at IN (SELECT was FROM recalled);

-- name: recall_holders
UPDATE starts SET until = :now WHERE until > :latest;

-- name: recall_receipts
UPDATE receipts SET at = (SELECT becomes FROM recalled WHERE was = at)
WHERE at IN (SELECT was FROM recalled);

-- name: recall_cancelled
UPDATE cancelled SET
    until = until - at + :now, deadline = deadline - at + :now,
    at = (SELECT becomes FROM recalled WHERE was = at)
WHERE at IN (SELECT was FROM recalled);

-- name: recall_suppressions
UPDATE suppressions SET
    at = min(at, (SELECT becomes FROM recalled WHERE was = received_at)),
    received_at = (SELECT becomes FROM recalled WHERE was = received_at)
WHERE received_at IN (SELECT was FROM recalled);

-- name: recall_members
UPDATE experiment_members SET
    until = until - since + (SELECT becomes FROM recalled WHERE was = since),
    since = (SELECT becomes FROM recalled WHERE was = since)
WHERE since IN (SELECT was FROM recalled);

-- name: recall_held
UPDATE experiment_held SET seen_at = (SELECT becomes FROM recalled WHERE was = seen_at)
WHERE seen_at IN (SELECT was FROM recalled);

-- name: recall_left_out
UPDATE experiment_left_out SET since = (SELECT becomes FROM recalled WHERE was = since)
WHERE since IN (SELECT was FROM recalled);

-- name: recall_exempt
UPDATE experiment_exempt SET since = (SELECT becomes FROM recalled WHERE was = since)
WHERE since IN (SELECT was FROM recalled);

-- name: recall_experiments
UPDATE experiments SET
    dry_at = coalesce((SELECT becomes FROM recalled WHERE was = dry_at), dry_at),
    started_at = coalesce((SELECT becomes FROM recalled WHERE was = started_at), started_at),
    ended_at = coalesce((SELECT becomes FROM recalled WHERE was = ended_at), ended_at)
WHERE dry_at IN (SELECT was FROM recalled)
   OR started_at IN (SELECT was FROM recalled)
   OR ended_at IN (SELECT was FROM recalled);

-- name: recall_devices
UPDATE devices SET
    last_seen_at
        = coalesce((SELECT becomes FROM recalled WHERE was = last_seen_at), last_seen_at),
    heard_at = coalesce((SELECT becomes FROM recalled WHERE was = heard_at), heard_at),
    erased_at = coalesce((SELECT becomes FROM recalled WHERE was = erased_at), erased_at),
    registered_at
        = coalesce((SELECT becomes FROM recalled WHERE was = registered_at), registered_at),
    state_at = coalesce((SELECT becomes FROM recalled WHERE was = state_at), state_at),
    user_changed_at
        = coalesce((SELECT becomes FROM recalled WHERE was = user_changed_at), user_changed_at)
WHERE last_seen_at IN (SELECT was FROM recalled)
   OR heard_at IN (SELECT was FROM recalled)
   OR erased_at IN (SELECT was FROM recalled)
   OR registered_at IN (SELECT was FROM recalled)
   OR state_at IN (SELECT was FROM recalled)
   OR user_changed_at IN (SELECT was FROM recalled);

-- name: recall_erasures
UPDATE erasures SET
    asked_at = coalesce((SELECT becomes FROM recalled WHERE was = asked_at), asked_at),
    done_at = coalesce((SELECT becomes FROM recalled WHERE was = done_at), done_at)
WHERE asked_at IN (SELECT was FROM recalled)
   OR done_at IN (SELECT was FROM recalled);

-- name: recall_forgotten
UPDATE forgotten SET
    at = coalesce((SELECT becomes FROM recalled WHERE was = at), at),
    erased_at = coalesce((SELECT becomes FROM recalled WHERE was = erased_at), erased_at),
    user_changed_at
        = coalesce((SELECT becomes FROM recalled WHERE was = user_changed_at), user_changed_at)
WHERE at IN (SELECT was FROM recalled)
   OR erased_at IN (SELECT was FROM recalled)
   OR user_changed_at IN (SELECT was FROM recalled);

-- name: recall_end
DROP TABLE recalled;

-- Nobody knows which due times are its own.
-- name: recall_whole
UPDATE queue SET due_at = :now WHERE due_at > :now AND lease_id IS NULL;

-- name: recall_waiting
UPDATE deliveries SET next_at = :now
WHERE state = 'pending' AND next_at > :now AND event_id IN (SELECT event_id FROM queue);
