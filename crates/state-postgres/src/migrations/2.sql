-- One row, which a crash of the server empties, and which no standby has: what was committed without waiting for the disk is
-- there for as long as the row is the same.
CREATE UNLOGGED TABLE pipepost.incarnations (
  single bool PRIMARY KEY DEFAULT true CHECK (single),
  id uuid NOT NULL
);
