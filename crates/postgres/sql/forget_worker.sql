-- Purpose: a worker is no longer known, once its fetches that are under way have ended; see `keep_worker` of
--   the schema.
-- Parameters: $1 worker.
-- Rows: none.
-- Index: the primary key of `workers`.
DELETE FROM gristmill.workers
WHERE worker = $1::uuid AND (SELECT pg_advisory_xact_lock(gristmill.worker_lock($1)) IS NOT NULL)
