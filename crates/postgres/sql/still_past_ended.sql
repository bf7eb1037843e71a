-- Purpose: which of these jobs are still cancelled or discarded, and past their retention.
-- Parameters: $1 ids; $2 now (ms).
-- Rows: id.
-- Index: the primary key of `ended`. The caller locked the rows of `jobs` in a statement before.
SELECT id FROM gristmill.ended WHERE id = ANY ($1::uuid[]) AND delete_at <= $2::int8
