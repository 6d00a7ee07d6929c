-- What was counted of whole days, for `inkpush effect` and `inkpush report`; nobody is named: see
-- deploy/docs/decisions/0045-counted-days.md. `what` is "way" for the tables below, or an experiment; a day
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

-- Who is in an experiment, of both groups; `person` is a keyed hash, as in `learning_outcomes`.
-- `until` is when the held are let go.
CREATE TABLE experiment_members (
    experiment text COLLATE "C" NOT NULL,
    person     text COLLATE "C" NOT NULL,
    held       integer NOT NULL,
    since      double precision NOT NULL,
    until      double precision NOT NULL,
    app        text COLLATE "C" NOT NULL,
    platform   text COLLATE "C" NOT NULL,
    source     text COLLATE "C" NOT NULL,
    PRIMARY KEY (experiment, person)
);
CREATE INDEX experiment_members_person ON experiment_members (person);


-- What an experiment was counted by, as JSON: it is told also when nothing else knows it any more.
CREATE TABLE effect_terms (
    experiment text COLLATE "C" PRIMARY KEY,
    terms      text NOT NULL
);

-- Those who entered on a day, by group and cell; how many of them had an outcome within the window, in
-- as much time before, and how many of those within it became known after the day was settled.
CREATE TABLE effect_outcomes (
    experiment       text COLLATE "C" NOT NULL,
    day              double precision NOT NULL,
    app              text COLLATE "C" NOT NULL,
    platform         text COLLATE "C" NOT NULL,
    held             integer NOT NULL,
    people           integer NOT NULL,
    completed        integer NOT NULL,
    began            integer NOT NULL,
    completed_before integer NOT NULL,
    began_before     integer NOT NULL,
    completed_late   integer NOT NULL,
    began_late       integer NOT NULL,
    PRIMARY KEY (experiment, day, app, platform, held)
);
