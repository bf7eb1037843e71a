-- Purpose: an operator's update of jobs. Where they stand is the caller's.
-- Parameters: $1 ids; what is new, or NULL: $2 priority, $3 max_attempts, $4 args.
-- Rows: none.
-- Index: the primary key of `jobs`, in all partitions: operators update few jobs.
UPDATE gristmill.jobs
SET priority = coalesce($2::int2, priority), max_attempts = coalesce($3::int4, max_attempts),
    args = coalesce($4::bytea, args)
WHERE id = ANY ($1::uuid[])
