-- Purpose: locks jobs as `lock_jobs.sql` does, except those that another transaction has locked.
-- Parameters: $1 ids.
-- Rows: the ids that were locked.
-- Index: the primary key of `jobs`. It never waits, so the order does not matter.
WITH wanted AS MATERIALIZED (SELECT DISTINCT unnest($1::uuid[]) AS id)
SELECT locked.id FROM wanted CROSS JOIN LATERAL (
    SELECT jobs.id FROM gristmill.jobs WHERE jobs.id = wanted.id FOR NO KEY UPDATE SKIP LOCKED
) AS locked
