-- Purpose: takes an available job out of the line.
-- Parameters: ?1 queue; ?2 priority; ?3 due (ms); ?4 seq.
-- Rows: none.
-- Index: the primary key of `ready`; the row of `jobs` has the first three.
DELETE FROM ready WHERE queue = ?1 AND priority = ?2 AND run_at = ?3 AND seq = ?4
