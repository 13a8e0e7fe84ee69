-- How many runs of a pipeline are under way, without a look at all that have ended.
DROP INDEX runs_running;
CREATE INDEX runs_running ON runs (pipeline, owner) WHERE state = 'running';
