-- Purpose: keeps verbs and the audit away from jobs until the transaction ends.
-- Parameters: $1 ids.
-- Rows: id, queue, options; the jobs that are there.
-- Index: the primary key of `jobs`; the materialised list lets each id find its one partition. In the order of the ids.
WITH wanted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id)
SELECT jobs.id, jobs.queue, jobs.options FROM wanted JOIN gristmill.jobs ON jobs.id = wanted.id
ORDER BY jobs.id FOR NO KEY UPDATE OF jobs
