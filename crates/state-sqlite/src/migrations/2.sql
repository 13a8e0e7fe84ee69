-- One row for each transaction that an account with limits has begun of late. Times here are microseconds since the Unix
-- epoch: windows of a second are counted by them.
CREATE TABLE admissions (
  id INTEGER PRIMARY KEY,
  -- JSON: label, user and host.
  account TEXT NOT NULL,
  -- The lock file of the process that began it, within `owners`.
  owner TEXT NOT NULL,
  -- NULL: it is under way.
  ended INTEGER
) STRICT;
CREATE INDEX admissions_by_account ON admissions (account, ended);

-- One row for each account that a server has told to wait.
CREATE TABLE pauses (
  account TEXT PRIMARY KEY,
  label TEXT NOT NULL,
  begun INTEGER NOT NULL,
  until INTEGER NOT NULL,
  -- The kind of failure that the next messages have, and what the server said.
  kind TEXT NOT NULL,
  why TEXT NOT NULL
) STRICT;
