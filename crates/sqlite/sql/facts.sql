-- Purpose: what a move of a job needs to know of it.
-- Parameters: ?1 seq.
-- Rows: at most one: seq, id, queue, priority, run_at (ms), max_attempts, whether it has a unique key,
--   retention (JSON).
-- Index: the primary key of `jobs`.
SELECT seq, id, queue, priority, run_at, max_attempts, unique_key IS NOT NULL, retention FROM jobs WHERE seq = ?1
