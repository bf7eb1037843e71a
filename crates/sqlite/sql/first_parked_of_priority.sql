-- Purpose: the longest due parked job of a queue, kind and priority.
-- Parameters: ?1 queue; ?2 kind; ?3 priority.
-- Rows: at most one: run_at (ms).
-- Index: waiting_parked, one entry.
SELECT run_at FROM waiting WHERE queue = ?1 AND kind = ?2 AND priority = ?3 ORDER BY run_at LIMIT 1
