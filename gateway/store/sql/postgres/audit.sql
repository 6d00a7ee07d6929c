-- An act of several transactions has one row.
-- name: audit_insert
INSERT INTO audit (
    at, who, what, object, user_word, custom_word, affected, origin, remote, reason, routine
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
ON CONFLICT (at, who, what, object, user_word, custom_word)
DO UPDATE SET affected = audit.affected + excluded.affected;

-- name: audit_page
SELECT at, who, what, object, user_word, custom_word, affected, origin, remote, reason, routine
FROM audit
WHERE at >= $1
  AND (at, who, what, object, user_word, custom_word) < ($2, $3, $4, $5, $6, $7)
  AND ($8 = '' OR strpos(who, $8) > 0)
  AND ($9 = '' OR strpos(what || ' ' || object, $9) > 0)
  AND NOT ($10::boolean AND routine <> 0)
  AND ($11::boolean OR (user_word = $12 AND user_word <> '')
                    OR (custom_word = $13 AND custom_word <> ''))
ORDER BY at DESC, who DESC, what DESC, object DESC, user_word DESC, custom_word DESC
LIMIT $14;

-- name: audit_of_user
SELECT at, who, what, object, user_word, custom_word, affected, origin, remote, reason, routine
FROM audit
WHERE (user_word = $1 AND user_word <> '') OR (custom_word = $2 AND custom_word <> '')
ORDER BY at, who, what, object, user_word, custom_word
FOR UPDATE;

-- Few rows have a reason: people give one, programs do not.
-- name: audit_reasons
SELECT at, who, what, object, user_word, custom_word, affected, origin, remote, reason, routine
FROM audit
WHERE reason <> '' AND (strpos(reason, $1) > 0 OR strpos(reason, $2) > 0)
ORDER BY at, who, what, object, user_word, custom_word
FOR UPDATE;

-- name: audit_delete
DELETE FROM audit
WHERE at = $1 AND who = $2 AND what = $3 AND object = $4 AND user_word = $5 AND custom_word = $6;

-- name: audit_purge
DELETE FROM audit WHERE ctid = ANY (ARRAY(
    SELECT ctid FROM audit
    WHERE at < greatest($1::double precision, $2::double precision)
      AND at < CASE WHEN routine <> 0 THEN $2 ELSE $1 END
    ORDER BY at LIMIT $3
    FOR UPDATE SKIP LOCKED
));
