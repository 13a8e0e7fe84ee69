-- The trace in which a run was ordered, as `traceparent` and `tracestate` of W3C's Trace Context write it; NULL: none.
ALTER TABLE runs ADD COLUMN trace_parent TEXT;
ALTER TABLE runs ADD COLUMN trace_state TEXT;
