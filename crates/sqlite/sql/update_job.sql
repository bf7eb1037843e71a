-- Purpose: changes what an operator may change of a job that does not run.
-- Parameters: ?1 seq; each or NULL to leave it: ?2 priority; ?3 max_attempts; ?4 args; ?5 the codec
--   of new args, NULL for JSON.
-- Rows: none.
-- Index: the primary key of `jobs`.
UPDATE jobs
SET priority = coalesce(?2, priority), max_attempts = coalesce(?3, max_attempts), args = coalesce(?4, args),
    encoding = iif(?4 IS NULL, encoding, ?5), has_options = has_options OR ?5 IS NOT NULL
WHERE seq = ?1
