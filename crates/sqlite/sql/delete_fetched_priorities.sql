-- Purpose: takes out of the line what was fetched of the priorities before that of the last row fetched: all
--   of it.
-- Parameters: ?1 queue; ?2 first priority wanted; ?3 priority of the last row fetched.
-- Rows: none.
-- Index: the primary key of `ready`, one range without a test a row.
DELETE FROM ready WHERE queue = ?1 AND priority >= ?2 AND priority < ?3
