-- Purpose: the running jobs of a worker with a requested cancel.
-- Parameters: ?1 worker.
-- Rows: id, run.
-- Index: none on `cancels`, which mostly has no rows; the primary key of `jobs`.
SELECT jobs.id, cancels.run FROM cancels JOIN jobs ON jobs.seq = cancels.seq WHERE cancels.worker = ?1
