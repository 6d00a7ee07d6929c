-- Who did what: see gateway/core/audit.py and deploy/docs/decisions/0035-who-did-what.md. One row an
-- act and thing, however many transactions it took: they add to `affected`. `user_word` and
-- `custom_word` stand for the ids of the person whom it was about, and are empty elsewhere.
CREATE TABLE audit (
    at          REAL NOT NULL,
    who         TEXT NOT NULL,
    what        TEXT NOT NULL,
    object      TEXT NOT NULL,
    user_word   TEXT NOT NULL,
    custom_word TEXT NOT NULL,
    affected    INTEGER NOT NULL,
    origin      TEXT NOT NULL,
    remote      TEXT NOT NULL,
    reason      TEXT NOT NULL,
    routine     INTEGER NOT NULL,
    PRIMARY KEY (at, who, what, object, user_word, custom_word)
) WITHOUT ROWID;
CREATE INDEX audit_user ON audit (user_word) WHERE user_word <> '';
CREATE INDEX audit_custom ON audit (custom_word) WHERE custom_word <> '';
CREATE INDEX audit_reason ON audit (at) WHERE reason <> '';
