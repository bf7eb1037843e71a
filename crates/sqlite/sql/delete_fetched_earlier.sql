-- Purpose: takes out of the line what was fetched of the last row's priority and was due before it: all of
--   it.
-- Parameters: ?1 queue; ?2 priority and ?3 run_at (ms) of the last row fetched.
-- Rows: none.
-- Index: the primary key of `ready`, one range without a test a row.
DELETE FROM ready WHERE queue = ?1 AND priority = ?2 AND run_at < ?3
