-- Purpose: which of these jobs are still cancelled or discarded, and past their retention.
-- Parameters: $1 ids; $2 now (ms).
-- Rows: id, delete_at (ms), state.
-- Index: the primary key of `ended`, whatever the statistics say: hence the look-up by each id, which
--   `delete_at` has no part in, since its index may look as cheap. The caller locked the rows of `jobs` in a
--   statement before.
SELECT past.id, past.delete_at, past.state FROM unnest($1::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
    SELECT ended.id, ended.delete_at, ended.state FROM gristmill.ended WHERE ended.id = wanted.id LIMIT 1) AS past
WHERE past.delete_at <= $2::int8
