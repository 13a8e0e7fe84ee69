-- Objects that pipelines keep, in named collections. A number is never given twice.
CREATE TABLE objects (
  number INTEGER PRIMARY KEY AUTOINCREMENT,
  collection TEXT NOT NULL,
  -- Need not be unique.
  id TEXT NOT NULL,
  -- JSON.
  document TEXT NOT NULL
) STRICT;
CREATE INDEX objects_by_id ON objects (collection, id);
