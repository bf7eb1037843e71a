-- Purpose: the latest ended runs of a job.
-- Parameters: ?1 seq; ?2 limit.
-- Rows: run, attempt, ending, state, worker, fetched_at, started_at, finished_at (ms), reason, error, backtrace; the latest
--   first.
-- Index: the primary key of `runs`.
SELECT run, attempt, ending, state, worker, fetched_at, started_at, finished_at, reason, error, backtrace
FROM runs
WHERE seq = ?1
ORDER BY run DESC
LIMIT ?2
