-- Purpose: the latest runs of a job that ended badly, among its last thousand.
-- Parameters: ?1 seq; ?2 the latest run; ?3 limit.
-- Rows: run, attempt, ending, state, worker, fetched_at, started_at, finished_at (ms), reason, error, backtrace; the latest
--   first.
-- Index: the primary key of `runs`. 11 is the ending of a crash, which leaves no error.
SELECT run, attempt, ending, state, worker, fetched_at, started_at, finished_at, reason, error, backtrace
FROM runs
WHERE seq = ?1 AND run > ?2 - 1000 AND (error IS NOT NULL OR ending = 11)
ORDER BY run DESC
LIMIT ?3
