-- What each process thinks of its machine's clock, and what a person said of it (name 'a person').
CREATE TABLE clocks (
    name   TEXT PRIMARY KEY,
    at     REAL NOT NULL,
    ahead  REAL NOT NULL,
    doubt  TEXT NOT NULL,
    told   TEXT NOT NULL
) WITHOUT ROWID;
