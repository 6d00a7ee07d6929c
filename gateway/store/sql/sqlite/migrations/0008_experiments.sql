-- Experiments: see deploy/docs/decisions/0047-experiments.md.
-- `terms` is what was fixed, as JSON; `key` is the lot's, empty once it has ended.
CREATE TABLE experiments (
    id         TEXT PRIMARY KEY,
    stage      TEXT NOT NULL,
    terms      TEXT NOT NULL,
    key        BLOB NOT NULL,
    dry_at     REAL NOT NULL,
    started_at REAL NOT NULL,
    ends_at    REAL NOT NULL,
    ended_at   REAL NOT NULL,
    reason     TEXT NOT NULL
) WITHOUT ROWID;

-- Of the held, who also got something else within their window.
CREATE TABLE experiment_also (
    experiment TEXT NOT NULL,
    person     TEXT NOT NULL,
    PRIMARY KEY (experiment, person)
) WITHOUT ROWID;
CREATE INDEX experiment_also_person ON experiment_also (person);

-- Who did not enter, and why, as of the first time; one who enters later counts as a member.
CREATE TABLE experiment_left_out (
    experiment TEXT NOT NULL,
    person     TEXT NOT NULL,
    reason     TEXT NOT NULL,
    since      REAL NOT NULL,
    PRIMARY KEY (experiment, person)
) WITHOUT ROWID;
CREATE INDEX experiment_left_out_person ON experiment_left_out (person);

-- Of whom nothing is ever held, by the word of an id.
CREATE TABLE experiment_exempt (
    person TEXT PRIMARY KEY,
    since  REAL NOT NULL
) WITHOUT ROWID;

-- The newest reminder that is held back of each person, with its content, in the stored form of
-- `gateway/core/stored.py`; its time comes with `until` of the member, or at once where there is none.
-- `who_user` and `who_custom` are the words of both ids that the content names, "" for none.
CREATE TABLE experiment_held (
    experiment TEXT NOT NULL,
    person     TEXT NOT NULL,
    event_id   TEXT NOT NULL,
    item       INTEGER NOT NULL,
    seen_at    REAL NOT NULL,
    content    BLOB NOT NULL,
    who_user   TEXT NOT NULL,
    who_custom TEXT NOT NULL,
    PRIMARY KEY (experiment, person)
) WITHOUT ROWID;
CREATE INDEX experiment_held_user ON experiment_held (who_user) WHERE who_user <> '';
CREATE INDEX experiment_held_custom ON experiment_held (who_custom) WHERE who_custom <> '';
-- With the time: what is due is found without reading the content of what is not.
CREATE INDEX experiment_held_event ON experiment_held (event_id, item, seen_at);
