-- Purpose: a worker is no longer known.
-- Parameters: $1 worker.
-- Rows: none.
-- Index: the primary key of `workers`.
DELETE FROM gristmill.workers WHERE worker = $1::uuid
