-- When something was done last that is done now and then. In seconds since the Unix epoch.
CREATE TABLE upkeep (
  name TEXT PRIMARY KEY,
  at INTEGER NOT NULL
) STRICT;
