-- What was counted of whole days, for `inkpush effect` and `inkpush report`; nobody is named: see
-- deploy/docs/decisions/0042-counted-days.md. `what` is "way" for the tables below, or an experiment; a day
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
