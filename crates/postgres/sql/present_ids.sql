-- Purpose: which of these jobs are there.
-- Parameters: $1 ids.
-- Rows: id.
-- Index: the primary key of `jobs`. The materialised list lets a partitioned table find the one partition of each id.
WITH wanted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id)
SELECT wanted.id FROM wanted JOIN gristmill.jobs ON jobs.id = wanted.id
