-- Purpose: keeps other operators, the pruner and the audit away from jobs until the transaction ends.
-- Parameters: $1 ids.
-- Rows: none that matter.
-- Index: the primary key of `jobs`; the materialised list lets each id find its one partition. In the order of the ids.
WITH wanted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id)
SELECT 1 FROM wanted JOIN gristmill.jobs ON jobs.id = wanted.id
ORDER BY jobs.id FOR NO KEY UPDATE OF jobs
