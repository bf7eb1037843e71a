-- Purpose: which of these jobs are completed, and since when.
-- Parameters: $1 ids.
-- Rows: id, finished_at (ms); the completed ones.
-- Index: the primary keys of `attempts` and `retried`, whatever the statistics say: each id finds its one
--   partition by itself. The caller locked the rows of `jobs` in a statement before, so none of them is
--   retried meanwhile.
SELECT wanted.id, latest.finished_at FROM unnest($1::uuid[]) AS wanted (id) CROSS JOIN LATERAL (
    SELECT attempts.run, attempts.state, attempts.finished_at FROM gristmill.attempts
    WHERE attempts.id = wanted.id ORDER BY attempts.run DESC LIMIT 1) AS latest
WHERE latest.state = 5
    AND latest.run > coalesce((SELECT retried.run FROM gristmill.retried WHERE retried.id = wanted.id), 0)
