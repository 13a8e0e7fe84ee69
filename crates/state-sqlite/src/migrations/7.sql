-- What servers have taught of their limits. Times are microseconds since the Unix epoch.
CREATE TABLE server_limits (
  -- JSON: label, user and host.
  account TEXT NOT NULL,
  label TEXT NOT NULL,
  -- `host:port`.
  server TEXT NOT NULL,
  -- Messages on one connection, whether only one connection has shown it, and when it was learned. NULL: not known.
  messages INTEGER,
  suspected INTEGER,
  messages_learned INTEGER,
  -- Connections of the account, and when that was learned. NULL: not known.
  connections INTEGER,
  connections_learned INTEGER,
  PRIMARY KEY (account, server)
) STRICT;
