-- Purpose: keeps other operators, the pruner and the audit away from jobs until the transaction ends.
-- Parameters: $1 ids.
-- Rows: id, options; the jobs that are there.
-- Index: the primary key of `jobs`, asked for each id in their order, which finds its one partition.
WITH wanted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id ORDER BY 1)
SELECT locked.id, locked.options FROM wanted CROSS JOIN LATERAL (
    SELECT jobs.id, jobs.options FROM gristmill.jobs WHERE jobs.id = wanted.id FOR NO KEY UPDATE
) AS locked
