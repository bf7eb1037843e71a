-- Purpose: the ids of available jobs.
-- Parameters: ?1 limit; ?2 is not used.
-- Rows: id.
-- Index: a scan of `ready` that the limit ends; the primary key of `jobs`.
SELECT jobs.id FROM ready CROSS JOIN jobs ON jobs.seq = ready.seq WHERE ?2 IS NULL LIMIT ?1
