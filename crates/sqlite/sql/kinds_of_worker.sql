-- Purpose: the kinds that a worker has handlers for, and whether any job of the file is parked.
-- Parameters: ?1 worker.
-- Rows: at most one: kinds (a JSON array), whether a job is parked.
-- Index: the primary key of `workers`; waiting_parked, its first entry.
SELECT kinds, EXISTS (SELECT 1 FROM waiting WHERE kind IS NOT NULL) FROM workers WHERE worker = ?1
