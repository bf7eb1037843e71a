-- Purpose: parks a job of a kind that a worker has no handler for.
-- Parameters: ?1 seq; ?2 run_at (ms); ?3 run; ?4 attempt; ?5 crashes; ?6 reason; ?7 queue; ?8 priority.
-- Rows: none.
-- Index: the primary keys of `waiting` and `jobs`.
INSERT INTO waiting (seq, state, run_at, run, attempt, crashes, reason, queue, kind, priority)
SELECT ?1, 1, ?2, ?3, ?4, ?5, ?6, ?7, jobs.kind, ?8 FROM jobs WHERE jobs.seq = ?1
