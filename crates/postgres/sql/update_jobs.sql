-- Purpose: an operator's update of jobs. Where they stand is the caller's.
-- Parameters: $1 ids; what is new, or NULL: $2 priority, $3 max_attempts, $4 args; $5 the codec of new args,
--   NULL for JSON.
-- Rows: none.
-- Index: the primary key of `jobs`, in all partitions: operators update few jobs.
UPDATE gristmill.jobs
SET priority = coalesce($2::int2, priority), max_attempts = coalesce($3::int4, max_attempts),
    args = coalesce($4::bytea, args),
    -- New args take the codec of the old ones from the options. Hardly a job has one.
    options = CASE
        WHEN $4::bytea IS NULL OR ($5::text IS NULL AND coalesce(strpos(options, '"encoding"'), 0) = 0) THEN options
        ELSE nullif(((coalesce(options, '{}')::jsonb - 'encoding')
            || CASE WHEN $5::text IS NULL THEN '{}' ELSE jsonb_build_object('encoding', $5::text) END)::text, '{}')
    END
WHERE id = ANY ($1::uuid[])
