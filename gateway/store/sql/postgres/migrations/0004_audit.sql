-- Who did what: see gateway/core/audit.py and deploy/docs/decisions/0035-who-did-what.md. One row an
-- act and thing, however many transactions it took: they add to `affected`. `user_word` and
-- `custom_word` stand for the ids of the person whom it was about, and are empty elsewhere.
CREATE TABLE audit (
    at          double precision NOT NULL,
    who         text COLLATE "C" NOT NULL,
    what        text COLLATE "C" NOT NULL,
    object      text COLLATE "C" NOT NULL,
    user_word   text COLLATE "C" NOT NULL,
    custom_word text COLLATE "C" NOT NULL,
    affected    bigint NOT NULL,
    origin      text COLLATE "C" NOT NULL,
    remote      text COLLATE "C" NOT NULL,
    reason      text COLLATE "C" NOT NULL,
    routine     integer NOT NULL,
    PRIMARY KEY (at, who, what, object, user_word, custom_word)
);
CREATE INDEX audit_user ON audit (user_word) WHERE user_word <> '';
CREATE INDEX audit_custom ON audit (custom_word) WHERE custom_word <> '';
CREATE INDEX audit_reason ON audit (at) WHERE reason <> '';
