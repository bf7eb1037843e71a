-- Purpose: frees the unique key of a job, if the job holds it.
-- Parameters: ?1 seq.
-- Rows: none.
-- Index: the primary keys of `jobs` and `uniques`.
DELETE FROM uniques
WHERE (queue, key) = (SELECT queue, unique_key FROM jobs WHERE seq = ?1) AND seq = ?1
