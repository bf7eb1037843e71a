-- Purpose: the longest due available job of a queue and priority.
-- Parameters: ?1 queue; ?2 priority.
-- Rows: at most one: run_at (ms).
-- Index: the primary key of `ready`.
SELECT run_at FROM ready WHERE queue = ?1 AND priority = ?2 ORDER BY run_at LIMIT 1
