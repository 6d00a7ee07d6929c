-- An act of several transactions has one row.
-- name: audit_insert
INSERT INTO audit (
    at, who, what, object, user_word, custom_word, affected, origin, remote, reason, routine
) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (at, who, what, object, user_word, custom_word)
DO UPDATE SET affected = audit.affected + excluded.affected;

-- name: audit_page
SELECT at, who, what, object, user_word, custom_word, affected, origin, remote, reason, routine
FROM audit
WHERE at >= :since
  AND (at, who, what, object, user_word, custom_word)
      < (:at_, :who_, :what_, :object_, :user_, :custom_)
  AND NOT (:people AND routine)
  AND instr(who, :who) > 0
  AND instr(what || ' ' || object, :what) > 0
  AND (:everybody OR (user_word = :who_user AND user_word <> '')
                  OR (custom_word = :who_custom AND custom_word <> ''))
ORDER BY at DESC, who DESC, what DESC, object DESC, user_word DESC, custom_word DESC
LIMIT :limit;

-- name: audit_of_user
SELECT at, who, what, object, user_word, custom_word, affected, origin, remote, reason, routine
FROM audit WHERE user_word = :who_user AND user_word <> ''
UNION
SELECT at, who, what, object, user_word, custom_word, affected, origin, remote, reason, routine
FROM audit WHERE custom_word = :who_custom AND custom_word <> '';

-- Few rows have a reason: people give one, programs do not.
-- name: audit_reasons
SELECT at, who, what, object, user_word, custom_word, affected, origin, remote, reason, routine
FROM audit WHERE reason <> '' AND (instr(reason, :user_id) > 0 OR instr(reason, :custom_id) > 0);

-- name: audit_has
SELECT EXISTS (
    SELECT 1 FROM audit
    WHERE at = ? AND who = ? AND what = ? AND object = ? AND user_word = ? AND custom_word = ?
);

-- name: audit_newest
SELECT at, who, what, object, user_word, custom_word FROM audit ORDER BY at DESC LIMIT 1;

-- name: audit_delete
DELETE FROM audit
WHERE at = ? AND who = ? AND what = ? AND object = ? AND user_word = ? AND custom_word = ?;

-- name: audit_purge
DELETE FROM audit WHERE (at, who, what, object, user_word, custom_word) IN (
    SELECT at, who, what, object, user_word, custom_word FROM audit
    WHERE at < max(:before, :routine_before)
      AND at < iif(routine, :routine_before, :before)
    ORDER BY at LIMIT :limit
);
