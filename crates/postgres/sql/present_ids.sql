-- Purpose: which of these jobs are there.
-- Parameters: $1 ids.
-- Rows: id.
-- Index: the primary key of `jobs`. The materialised list lets a partitioned table find the one partition of
--   each id. `OFFSET 0` keeps the look-up inside: the plan of a table that was empty once may turn it round.
WITH wanted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id)
SELECT stored.id FROM wanted
CROSS JOIN LATERAL (SELECT jobs.id FROM gristmill.jobs WHERE jobs.id = wanted.id OFFSET 0) AS stored
