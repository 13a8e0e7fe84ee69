-- One row for each named execution.
CREATE TABLE executions (
  key TEXT PRIMARY KEY,
  -- The lock file of the process that runs it, within `owners`; NULL: nobody does.
  owner TEXT,
  process INTEGER NOT NULL,
  -- Seconds since the Unix epoch, as all times here.
  begun INTEGER NOT NULL,
  changed INTEGER NOT NULL
) STRICT;

-- One row for each message of which something was claimed.
CREATE TABLE messages (
  key TEXT PRIMARY KEY,
  execution TEXT NOT NULL REFERENCES executions (key) ON DELETE CASCADE,
  -- Over the resolved parameters.
  digest TEXT NOT NULL,
  -- 'sent' or 'uncertain'; NULL: its process ended before it knew.
  outcome TEXT,
  -- JSON: the step's output, and what is left to do.
  output TEXT,
  remainder TEXT,
  -- 1: a person said so.
  decided INTEGER NOT NULL DEFAULT 0,
  changed INTEGER NOT NULL
) STRICT;
CREATE INDEX messages_by_execution ON messages (execution);

-- One row for each transaction that was claimed and is not known to be uncommitted.
CREATE TABLE parts (
  message TEXT NOT NULL REFERENCES messages (key) ON DELETE CASCADE,
  number INTEGER NOT NULL,
  -- 'claimed', 'confirmed' or 'uncertain'.
  state TEXT NOT NULL,
  -- JSON: the step's output, where this part completed it.
  output TEXT,
  changed INTEGER NOT NULL,
  PRIMARY KEY (message, number)
) STRICT;
