-- Purpose: what is past its retention next.
-- Parameters: $1 the first id that was not looked at.
-- Rows: the first noted deletion (ms), NULL without one; the first id from $1 on of a job with an ended run,
--   NULL without one.
-- Index: `ended_delete`, the primary keys of `expiries` and `attempts`.
SELECT
    least((SELECT delete_at FROM gristmill.ended WHERE delete_at IS NOT NULL ORDER BY delete_at LIMIT 1),
        (SELECT delete_at FROM gristmill.expiries ORDER BY delete_at LIMIT 1)),
    (SELECT id FROM gristmill.attempts WHERE id >= $1::uuid ORDER BY id LIMIT 1)
