-- What was counted of whole days, for `inkpush effect` and `inkpush report`; nobody is named: see
-- deploy/docs/decisions/0042-counted-days.md. `what` is "way" for the tables below, or an experiment; a day
-- begins where the one before it ended, and is counted anew until it is `settled`.
CREATE TABLE effect_marks (
    what       text COLLATE "C" NOT NULL,
    begins     double precision NOT NULL,
    ends       double precision NOT NULL,
    counted_at double precision NOT NULL,
    settled    integer NOT NULL,
    PRIMARY KEY (what, begins)
);

-- People by where the first push of the day went, and how far it came; `experiment` "" is everybody,
-- else those who entered the experiment on that day and were reminded.
CREATE TABLE effect_days (
    day        double precision NOT NULL,
    experiment text COLLATE "C" NOT NULL,
    app        text COLLATE "C" NOT NULL,
    platform   text COLLATE "C" NOT NULL,
    source     text COLLATE "C" NOT NULL,
    people     integer NOT NULL,
    taken      integer NOT NULL,
    can_tell   integer NOT NULL,
    shown      integer NOT NULL,
    opened     integer NOT NULL,
    PRIMARY KEY (day, experiment, app, platform, source)
);

-- Why nothing reached people of a cell.
CREATE TABLE effect_reasons (
    day        double precision NOT NULL,
    experiment text COLLATE "C" NOT NULL,
    app        text COLLATE "C" NOT NULL,
    platform   text COLLATE "C" NOT NULL,
    source     text COLLATE "C" NOT NULL,
    reason     text COLLATE "C" NOT NULL,
    people     integer NOT NULL,
    PRIMARY KEY (day, experiment, app, platform, source, reason)
);

-- Phones that were `won` or `lost` on a day, and how many there were then: `active`, `muted`, `silent`.
CREATE TABLE effect_phones (
    day      double precision NOT NULL,
    app      text COLLATE "C" NOT NULL,
    platform text COLLATE "C" NOT NULL,
    what     text COLLATE "C" NOT NULL,
    phones   integer NOT NULL,
    PRIMARY KEY (day, app, platform, what)
);
