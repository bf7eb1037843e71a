-- Purpose: changes what an operator may change of a job that does not run.
-- Parameters: ?1 seq; each or NULL to leave it: ?2 priority; ?3 max_attempts; ?4 args.
-- Rows: none.
-- Index: the primary key of `jobs`.
UPDATE jobs
SET priority = coalesce(?2, priority), max_attempts = coalesce(?3, max_attempts), args = coalesce(?4, args)
WHERE seq = ?1
