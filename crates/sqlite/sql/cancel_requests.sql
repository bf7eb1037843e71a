-- Purpose: running jobs whose cancel is asked for, whichever worker has them.
-- Parameters: none.
-- Rows: id; at most ten.
-- Index: none on `cancels`, which mostly has no rows; the primary key of `jobs`.
SELECT jobs.id FROM cancels JOIN jobs ON jobs.seq = cancels.seq LIMIT 10
