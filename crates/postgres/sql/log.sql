-- Purpose: the logs of a job's runs.
-- Parameters: $1 id; $2 the first run.
-- Rows: run, at (ms), text; in the order they were written.
-- Index: the primary key of `logs`.
SELECT run, at, text FROM gristmill.logs WHERE id = $1::uuid AND run >= $2::int4 ORDER BY run, line
