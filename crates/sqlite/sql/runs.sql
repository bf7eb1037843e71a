-- Purpose: the latest ended runs of a job.
-- Parameters: ?1 first and ?2 last run_key; ?3 limit.
-- Rows: run, attempt, ending, state, worker, fetched_at, started_at, finished_at (ms), reason, error,
--   backtrace; the latest first.
-- Index: the primary key of `runs`.
SELECT run_key & 4194303, attempt, ending, state, worker, fetched_at, started_at, finished_at, reason, error, backtrace
FROM runs
WHERE run_key BETWEEN ?1 AND ?2
ORDER BY run_key DESC
LIMIT ?3
