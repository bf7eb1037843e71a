-- Purpose: the kinds that a worker has handlers for.
-- Parameters: $1 worker.
-- Rows: at most one: kinds (a JSON array).
-- Index: the primary key of `workers`.
SELECT kinds FROM gristmill.workers WHERE worker = $1::uuid
