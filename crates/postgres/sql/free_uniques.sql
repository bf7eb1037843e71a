-- Purpose: the unique keys of jobs that have ended are free.
-- Parameters: $1 ids.
-- Rows: none.
-- Index: `uniques_id`.
DELETE FROM gristmill.uniques WHERE id = ANY ($1::uuid[])
