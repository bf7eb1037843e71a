-- Purpose: which of these jobs are still cancelled or discarded, and past their retention.
-- Parameters: $1 ids; $2 now (ms).
-- Rows: id.
-- Index: the primary key of `ended`, whatever the statistics say: hence the look-up by each id. The caller locked the rows of
--   `jobs` in a statement before.
SELECT past.id FROM unnest($1::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
    SELECT ended.id FROM gristmill.ended WHERE ended.id = wanted.id AND ended.delete_at <= $2::int8 LIMIT 1) AS past
