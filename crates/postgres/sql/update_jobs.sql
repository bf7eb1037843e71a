-- Purpose: an operator's update of jobs. Where they stand is the caller's.
-- Parameters: $1 ids; what is new, or NULL: $2 priority, $3 max_attempts, $4 args.
-- Rows: none.
-- Index: the primary key of `jobs`; the materialised list lets each id find its one partition.
WITH wanted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id)
UPDATE gristmill.jobs
SET priority = coalesce($2::int2, jobs.priority), max_attempts = coalesce($3::int4, jobs.max_attempts),
    args = coalesce($4::bytea, jobs.args)
FROM wanted WHERE jobs.id = wanted.id
