-- Purpose: takes the jobs that were just fetched out of the line: all from the first priority wanted to the last row.
-- Parameters: ?1 queue; ?2 first priority; ?3 priority, ?4 run_at (ms) and ?5 seq of the last row fetched.
-- Rows: none.
-- Index: the primary key of `ready`, one range.
DELETE FROM ready WHERE queue = ?1 AND priority >= ?2 AND (priority, run_at, seq) <= (?3, ?4, ?5)
