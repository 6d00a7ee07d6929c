-- What was counted of whole days, for `inkpush effect` and `inkpush report`; nobody is named: see
-- deploy/docs/decisions/0045-counted-days.md. `what` is "way" for the tables below, or an experiment; a day
-- begins where the one before it ended, and is counted anew until it is `settled`.
CREATE TABLE effect_marks (
    what       TEXT NOT NULL,
    begins     REAL NOT NULL,
    ends       REAL NOT NULL,
    counted_at REAL NOT NULL,
    settled    INTEGER NOT NULL,
    PRIMARY KEY (what, begins)
) WITHOUT ROWID;

-- People by where the first push of the day went, and how far it came; `experiment` "" is everybody,
-- else those who entered the experiment on that day and were reminded.
CREATE TABLE effect_days (
    day        REAL NOT NULL,
    experiment TEXT NOT NULL,
    app        TEXT NOT NULL,
    platform   TEXT NOT NULL,
    source     TEXT NOT NULL,
    people     INTEGER NOT NULL,
    taken      INTEGER NOT NULL,
    can_tell   INTEGER NOT NULL,
    shown      INTEGER NOT NULL,
    opened     INTEGER NOT NULL,
    PRIMARY KEY (day, experiment, app, platform, source)
) WITHOUT ROWID;

-- Why nothing reached people of a cell.
CREATE TABLE effect_reasons (
    day        REAL NOT NULL,
    experiment TEXT NOT NULL,
    app        TEXT NOT NULL,
    platform   TEXT NOT NULL,
    source     TEXT NOT NULL,
    reason     TEXT NOT NULL,
    people     INTEGER NOT NULL,
    PRIMARY KEY (day, experiment, app, platform, source, reason)
) WITHOUT ROWID;

-- Phones that were `won` or `lost` on a day, and how many there were then: `active`, `muted`, `silent`.
CREATE TABLE effect_phones (
    day      REAL NOT NULL,
    app      TEXT NOT NULL,
    platform TEXT NOT NULL,
    what     TEXT NOT NULL,
    phones   INTEGER NOT NULL,
    PRIMARY KEY (day, app, platform, what)
) WITHOUT ROWID;

-- Who is in an experiment, of both groups; `person` is a keyed hash, as in `learning_outcomes`.
-- `until` is when the held are let go.
CREATE TABLE experiment_members (
    experiment TEXT NOT NULL,
    person     TEXT NOT NULL,
    held       INTEGER NOT NULL,
    since      REAL NOT NULL,
    until      REAL NOT NULL,
    app        TEXT NOT NULL,
    platform   TEXT NOT NULL,
    source     TEXT NOT NULL,
    PRIMARY KEY (experiment, person)
) WITHOUT ROWID;
CREATE INDEX experiment_members_person ON experiment_members (person);

-- What an experiment was counted by, as JSON: it is told also when nothing else knows it any more.
CREATE TABLE effect_terms (
    experiment TEXT PRIMARY KEY,
    terms      TEXT NOT NULL
) WITHOUT ROWID;

-- Those who entered on a day, by group and cell; how many of them had an outcome within the window, in
-- as much time before, and how many of those within it became known after the day was settled.
CREATE TABLE effect_outcomes (
    experiment       TEXT NOT NULL,
    day              REAL NOT NULL,
    app              TEXT NOT NULL,
    platform         TEXT NOT NULL,
    held             INTEGER NOT NULL,
    people           INTEGER NOT NULL,
    completed        INTEGER NOT NULL,
    began            INTEGER NOT NULL,
    completed_before INTEGER NOT NULL,
    began_before     INTEGER NOT NULL,
    completed_late   INTEGER NOT NULL,
    began_late       INTEGER NOT NULL,
    PRIMARY KEY (experiment, day, app, platform, held)
) WITHOUT ROWID;
