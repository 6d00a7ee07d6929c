-- What each process thinks of its machine's clock, and what a person said of it (name 'a person').
CREATE TABLE clocks (
    name   text COLLATE "C" PRIMARY KEY,
    at     double precision NOT NULL,
    ahead  double precision NOT NULL,
    doubt  text NOT NULL,
    told   text NOT NULL
);
