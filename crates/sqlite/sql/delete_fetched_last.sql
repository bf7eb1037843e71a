-- Purpose: takes out of the line the last row fetched and what stood before it with the same priority and due
--   time.
-- Parameters: ?1 queue; ?2 priority, ?3 run_at (ms) and ?4 seq of the last row fetched.
-- Rows: none.
-- Index: the primary key of `ready`, one range without a test a row.
DELETE FROM ready WHERE queue = ?1 AND priority = ?2 AND run_at = ?3 AND seq <= ?4
