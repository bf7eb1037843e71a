-- Purpose: whether a run has not ended.
-- Parameters: ?1 seq; ?2 run_key.
-- Rows: one: 1 or 0.
-- Index: the primary keys of `runs` and `jobs`.
SELECT EXISTS (SELECT 1 FROM jobs WHERE seq = ?1)
   AND NOT EXISTS (SELECT 1 FROM runs WHERE run_key = ?2)
