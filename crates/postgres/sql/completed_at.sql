-- Purpose: which of these jobs are completed, and since when.
-- Parameters: $1 ids.
-- Rows: id, finished_at (ms); the completed ones.
-- Index: the primary keys of `attempts` and `retried`; the materialised list lets each id find its one partition. The caller
--   locked the rows of `jobs` in a statement before, so none of them is retried meanwhile. A completed run behind the last
--   retry is always the latest.
WITH wanted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id)
SELECT attempts.id, attempts.finished_at
FROM wanted JOIN gristmill.attempts ON attempts.id = wanted.id
    LEFT JOIN gristmill.retried ON retried.id = wanted.id
WHERE attempts.state = 5 AND attempts.run > coalesce(retried.run, 0)
