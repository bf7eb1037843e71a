-- Purpose: whether a queue has an available job.
-- Parameters: ?1 queue or NULL; ?2 the first and ?3 the last priority.
-- Rows: one: 1 or 0.
-- Index: the primary key of `ready`.
SELECT EXISTS (SELECT 1 FROM ready WHERE queue = ?1 AND priority BETWEEN ?2 AND ?3)
