-- What people were told of this database being older than it was, or of the future: nobody is told
-- the same twice. See deploy/docs/decisions/0033-the-file.md.
CREATE TABLE doubts (
    what   text COLLATE "C" PRIMARY KEY,
    value  text COLLATE "C" NOT NULL,
    reason text COLLATE "C" NOT NULL,
    at     double precision NOT NULL
);
