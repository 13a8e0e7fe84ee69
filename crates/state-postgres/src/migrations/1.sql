-- Texts are compared by their bytes, so that every server sorts them alike.

-- One row for each process that takes something. Whoever is silent for longer than its lease counts as dead.
CREATE TABLE pipepost.workers (
  id text COLLATE "C" PRIMARY KEY,
  host text NOT NULL,
  process int8 NOT NULL,
  -- Microseconds.
  lease int8 NOT NULL,
  -- The last sign of life, by this server's clock.
  seen timestamptz NOT NULL
) WITH (fillfactor = 50);

-- One row for each named execution.
CREATE TABLE pipepost.executions (
  key text COLLATE "C" PRIMARY KEY,
  -- The worker that runs it; NULL: nobody does.
  owner text COLLATE "C",
  -- Raised at each take. Whoever claims names it.
  epoch int8 NOT NULL,
  -- Seconds since the Unix epoch, as all times here.
  begun int8 NOT NULL,
  changed int8 NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX executions_changed ON pipepost.executions (changed);
CREATE INDEX executions_owned ON pipepost.executions (owner) WHERE owner IS NOT NULL;

-- One row for each message of which something was claimed.
CREATE TABLE pipepost.messages (
  key text COLLATE "C" PRIMARY KEY,
  -- The order in which they were made.
  number int8 GENERATED ALWAYS AS IDENTITY,
  execution text COLLATE "C" NOT NULL,
  -- Over the resolved parameters.
  digest text NOT NULL,
  -- 'sent' or 'uncertain'; NULL: its process ended before it knew.
  outcome text,
  -- JSON: the step's output, and what is left to do.
  output text,
  remainder text,
  -- JSON: what is told of a message from its claim until its end is recorded. NULL: nothing, or `output` tells it.
  in_doubt text,
  -- A person said so.
  decided bool NOT NULL DEFAULT false,
  changed int8 NOT NULL
) WITH (fillfactor = 80);
CREATE INDEX messages_by_execution ON pipepost.messages (execution, number);
-- The messages that are not known to be sent: few among all, and asked for again and again.
CREATE INDEX messages_open ON pipepost.messages (execution, number) WHERE outcome IS DISTINCT FROM 'sent';

-- One row for each transaction that was claimed and is not known to be uncommitted.
CREATE TABLE pipepost.parts (
  message text COLLATE "C" NOT NULL,
  number int4 NOT NULL,
  -- 'claimed', 'confirmed' or 'uncertain'.
  state text NOT NULL,
  -- JSON: the step's output, where this part completed it.
  output text,
  -- The execution's epoch under which it was claimed, or found claimed.
  epoch int8 NOT NULL,
  PRIMARY KEY (message, number)
) WITH (fillfactor = 80);

-- One row for each document that a run is pinned to, with the files beside it.
CREATE TABLE pipepost.documents (
  -- Over the text and the files.
  digest text COLLATE "C" PRIMARY KEY,
  pipeline text COLLATE "C" NOT NULL,
  text text NOT NULL,
  -- JSON: an object of relative names and texts.
  files text NOT NULL,
  -- When a server named it last. Microseconds since the Unix epoch.
  seen int8 NOT NULL
);

-- One row for each run that was accepted. Times here are microseconds since the Unix epoch.
CREATE TABLE pipepost.runs (
  -- A UUID of version 7: the order of ids is the order of acceptance.
  id text COLLATE "C" PRIMARY KEY,
  pipeline text COLLATE "C" NOT NULL,
  document text COLLATE "C" NOT NULL,
  key text COLLATE "C" NOT NULL UNIQUE,
  -- Over what was ordered.
  digest text NOT NULL,
  -- 'http', 'rest', 'schedule', 'event', 'api' or 'pipeline'.
  origin text NOT NULL,
  -- JSON; NULL: forgotten.
  message text,
  -- JSON: the message as people may see it, where that is something else.
  shown text,
  -- JSON: an object of names and values.
  globals text,
  -- 'queued', 'running', 'done', 'failed', 'uncertain' or 'cancelled'.
  state text NOT NULL,
  due int8 NOT NULL,
  -- After this moment it is not tried again; NULL: at any time.
  expires int8,
  -- How many more times it is tried again.
  retries int8 NOT NULL,
  -- How many times it began, and how many times its process died.
  attempt int8 NOT NULL,
  deaths int8 NOT NULL,
  allow_redelivery bool NOT NULL,
  redelivery bool NOT NULL,
  -- The worker that performs it; NULL: nobody does.
  owner text COLLATE "C",
  -- Raised at each beginning.
  epoch int8 NOT NULL,
  accepted int8 NOT NULL,
  begun int8,
  ended int8,
  -- JSON.
  output text,
  -- Why it failed, or why it waits again: the kind, and the whole as JSON.
  kind text,
  failure text,
  -- How many messages ended in which way.
  sent int8 NOT NULL,
  failed int8 NOT NULL,
  uncertain int8 NOT NULL,
  -- The trace in which it was ordered, as `traceparent` and `tracestate` of W3C's Trace Context write it; NULL: none.
  trace_parent text,
  trace_state text
) WITH (fillfactor = 70);
CREATE INDEX runs_queued ON pipepost.runs (pipeline, due, id) WHERE state = 'queued';
CREATE INDEX runs_running ON pipepost.runs (pipeline, owner) WHERE state = 'running';
CREATE INDEX runs_amiss ON pipepost.runs (state, id) WHERE state IN ('failed', 'uncertain', 'cancelled');
CREATE INDEX runs_by_pipeline ON pipepost.runs (pipeline, id);
CREATE INDEX runs_by_document ON pipepost.runs (document);
CREATE INDEX runs_ended ON pipepost.runs (ended) WHERE ended IS NOT NULL;

-- One row for each pipeline whose schedule was seen, or that somebody paused, or whose runs are limited over all workers.
CREATE TABLE pipepost.schedules (
  pipeline text COLLATE "C" PRIMARY KEY,
  -- The time for which it fired last, or was seen first.
  last int8,
  -- Nothing of the pipeline begins.
  paused bool NOT NULL DEFAULT false,
  -- How many times passed while nothing ran, and at how many an earlier run still waited.
  missed int8 NOT NULL DEFAULT 0,
  skipped int8 NOT NULL DEFAULT 0
);

-- One row for each account with limits or a pause. Whoever counts its windows locks it. Times are microseconds since the
-- Unix epoch.
CREATE TABLE pipepost.quota_accounts (
  -- JSON: label, user and host.
  account text COLLATE "C" PRIMARY KEY,
  label text COLLATE "C" NOT NULL,
  -- NULL: it does not pause.
  begun int8,
  until int8,
  -- The kind of failure that the next messages have, and what the server said.
  kind text,
  why text
) WITH (fillfactor = 80);
CREATE INDEX quota_accounts_by_label ON pipepost.quota_accounts (label);

-- One row for each transaction that an account with limits has begun of late.
CREATE TABLE pipepost.admissions (
  id int8 GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  account text COLLATE "C" NOT NULL,
  -- The worker that began it.
  owner text COLLATE "C" NOT NULL,
  -- NULL: it is under way.
  ended int8
) WITH (fillfactor = 80);
CREATE INDEX admissions_by_account ON pipepost.admissions (account, ended);

-- What servers have taught of their limits. Times are microseconds since the Unix epoch.
CREATE TABLE pipepost.server_limits (
  -- JSON: label, user and host.
  account text COLLATE "C" NOT NULL,
  label text COLLATE "C" NOT NULL,
  -- `host:port`.
  server text COLLATE "C" NOT NULL,
  -- Messages on one connection, whether only one connection has shown it, and when it was learned. NULL: not known.
  messages int8,
  suspected bool,
  messages_learned int8,
  -- Connections of the account, and when that was learned. NULL: not known.
  connections int8,
  connections_learned int8,
  PRIMARY KEY (account, server)
);
CREATE INDEX server_limits_by_label ON pipepost.server_limits (label);

-- One row for each collection of objects. Whoever changes one locks it.
CREATE TABLE pipepost.collections (
  name text COLLATE "C" PRIMARY KEY
);

-- Objects that pipelines keep, in named collections. A number is never given twice.
CREATE TABLE pipepost.objects (
  number int8 GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
  collection text COLLATE "C" NOT NULL,
  -- Need not be unique.
  id text COLLATE "C" NOT NULL,
  -- JSON.
  document text NOT NULL
);
CREATE INDEX objects_by_id ON pipepost.objects (collection, id, number);
CREATE INDEX objects_by_number ON pipepost.objects (collection, number);

-- Refresh tokens with which a provider replaced others: encrypted, and known by nothing that tells the account.
CREATE TABLE pipepost.grants (
  name text COLLATE "C" PRIMARY KEY,
  -- Raised at each replacement.
  revision int8 NOT NULL,
  sealed bytea NOT NULL,
  -- Seconds since the Unix epoch.
  changed int8 NOT NULL
);

-- When something was done last that is done now and then. In seconds since the Unix epoch.
CREATE TABLE pipepost.upkeep (
  name text COLLATE "C" PRIMARY KEY,
  at int8 NOT NULL
);
