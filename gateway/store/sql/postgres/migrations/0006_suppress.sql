-- What people have done already: see gateway/core/suppressing.py and
-- deploy/docs/decisions/0042-said-already-done.md. A person is two keyed words, those of `erasures`. A row
-- lives as long as its event.
CREATE TABLE suppressions (
    event_id    text COLLATE "C" NOT NULL,
    path        text COLLATE "C" NOT NULL,
    source      text COLLATE "C" NOT NULL,
    who_user    text COLLATE "C" NOT NULL,
    who_custom  text COLLATE "C" NOT NULL,
    at          double precision NOT NULL,
    within_s    double precision NOT NULL,
    received_at double precision NOT NULL,
    PRIMARY KEY (event_id, path)
);
CREATE INDEX suppressions_user ON suppressions (who_user, path) WHERE who_user <> '';
CREATE INDEX suppressions_custom ON suppressions (who_custom, path) WHERE who_custom <> '';
CREATE INDEX suppressions_received ON suppressions (received_at);
