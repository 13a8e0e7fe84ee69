-- One row for each document that a run is pinned to, with the files beside it.
CREATE TABLE documents (
  -- Over the text and the files.
  digest TEXT PRIMARY KEY,
  pipeline TEXT NOT NULL,
  text TEXT NOT NULL,
  -- JSON: an object of relative names and texts.
  files TEXT NOT NULL
) STRICT;

-- One row for each run that was accepted. Times here are microseconds since the Unix epoch.
CREATE TABLE runs (
  -- A UUID of version 7: the order of ids is the order of acceptance.
  id TEXT PRIMARY KEY,
  pipeline TEXT NOT NULL,
  document TEXT NOT NULL REFERENCES documents (digest),
  key TEXT NOT NULL UNIQUE,
  -- Over what was ordered.
  digest TEXT NOT NULL,
  -- 'http', 'rest', 'schedule', 'event', 'api' or 'pipeline'.
  origin TEXT NOT NULL,
  -- JSON; NULL: forgotten.
  message TEXT,
  -- JSON: the message as people may see it, where that is something else.
  shown TEXT,
  -- JSON: an object of names and values.
  globals TEXT,
  -- 'queued', 'running', 'done', 'failed', 'uncertain' or 'cancelled'.
  state TEXT NOT NULL,
  due INTEGER NOT NULL,
  -- After this moment it is not tried again; NULL: at any time.
  expires INTEGER,
  -- How many more times it is tried again.
  retries INTEGER NOT NULL,
  -- How many times it began, and how many times its process died.
  attempt INTEGER NOT NULL,
  deaths INTEGER NOT NULL,
  -- 0 or 1.
  allow_redelivery INTEGER NOT NULL,
  redelivery INTEGER NOT NULL,
  -- The lock file of the process that performs it, within `owners`; NULL: nobody does.
  owner TEXT,
  -- Raised at each beginning.
  epoch INTEGER NOT NULL,
  accepted INTEGER NOT NULL,
  begun INTEGER,
  ended INTEGER,
  -- JSON.
  output TEXT,
  -- Why it failed, or why it waits again: the kind, and the whole as JSON.
  kind TEXT,
  failure TEXT,
  -- How many messages ended in which way.
  sent INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  uncertain INTEGER NOT NULL
) STRICT;
CREATE INDEX runs_queued ON runs (pipeline, due, id) WHERE state = 'queued';
CREATE INDEX runs_running ON runs (owner) WHERE state = 'running';
CREATE INDEX runs_amiss ON runs (state, id) WHERE state IN ('failed', 'uncertain', 'cancelled');
CREATE INDEX runs_by_pipeline ON runs (pipeline, id);
CREATE INDEX runs_by_document ON runs (document);
CREATE INDEX runs_ended ON runs (ended) WHERE ended IS NOT NULL;

-- One row for each pipeline whose schedule was seen, or that somebody paused.
CREATE TABLE schedules (
  pipeline TEXT PRIMARY KEY,
  -- The time for which it fired last, or was seen first.
  last INTEGER,
  -- 1: nothing of the pipeline begins.
  paused INTEGER NOT NULL DEFAULT 0,
  -- How many times passed while nothing ran, and at how many an earlier run still waited.
  missed INTEGER NOT NULL DEFAULT 0,
  skipped INTEGER NOT NULL DEFAULT 0
) STRICT;
