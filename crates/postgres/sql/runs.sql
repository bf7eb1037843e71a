-- Purpose: the latest ended runs of a job.
-- Parameters: $1 id; $2 limit.
-- Rows: run, attempt, ending, state, worker, fetched_at, started_at, finished_at (ms), reason, error,
--   backtrace; the latest first.
-- Index: the primary key of `attempts`.
SELECT run, attempt, ending, state, worker, fetched_at, started_at, finished_at, reason, error, backtrace
FROM gristmill.attempts
WHERE id = $1::uuid
ORDER BY run DESC
LIMIT $2::int8
