-- Purpose: keeps verbs and the audit away from jobs until the transaction ends.
-- Parameters: $1 ids.
-- Rows: id, queue, options; the jobs that are there.
-- Index: the primary key of `jobs`, whatever the statistics say: each id finds its one partition by itself, in their order.
WITH wanted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id ORDER BY 1)
SELECT locked.id, locked.queue, locked.options FROM wanted CROSS JOIN LATERAL (
    SELECT jobs.id, jobs.queue, jobs.options FROM gristmill.jobs WHERE jobs.id = wanted.id FOR NO KEY UPDATE) AS locked
