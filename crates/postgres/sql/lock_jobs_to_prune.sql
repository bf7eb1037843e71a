-- Purpose: keeps verbs and the audit away from jobs until the transaction ends.
-- Parameters: $1 ids.
-- Rows: id, queue, options of the jobs that are locked now; id and NULLs of those that other transactions
--   have locked.
-- Index: the primary key of `jobs`, whatever the statistics say: each id finds its one partition by itself.
--   It never waits for a lock, so the order of the locks does not matter.
WITH wanted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id)
SELECT present.id, locked.queue, locked.options
FROM wanted
CROSS JOIN LATERAL (SELECT jobs.id FROM gristmill.jobs WHERE jobs.id = wanted.id OFFSET 0) AS present
LEFT JOIN LATERAL (
    SELECT jobs.queue, jobs.options FROM gristmill.jobs WHERE jobs.id = wanted.id FOR NO KEY UPDATE SKIP LOCKED
) AS locked ON true
