-- Purpose: an operator's update of jobs. Where they stand is the caller's.
-- Parameters: $1 ids; what is new, or NULL: $2 priority, $3 max_attempts, $4 args; $5 the codec of new args,
--   NULL for JSON.
-- Rows: none.
-- Index: the primary key of `jobs`, in all partitions: operators update few jobs.
UPDATE gristmill.jobs
SET priority = coalesce($2::int2, priority), max_attempts = coalesce($3::int4, max_attempts),
    args = coalesce($4::bytea, args),
    -- The codec of the old args goes from the options, that of new ones comes to them; all other members stay as
    -- they are written. Hardly a job has a codec. The text stands elsewhere, too, such as in metadata.
    options = CASE
        WHEN $4::bytea IS NULL THEN options
        WHEN $5::text IS NULL AND coalesce(strpos(options, '"encoding"'), 0) = 0 THEN options
        WHEN $5 IS NULL AND options::json -> 'encoding' IS NULL THEN options
        ELSE (
            SELECT '{' || string_agg(to_json(member.key) || ':' || member.value, ',') || '}' FROM (
                SELECT key, value::text FROM json_each(coalesce(options, '{}')::json) WHERE key <> 'encoding'
                UNION ALL
                SELECT 'encoding', to_json($5)::text WHERE $5 IS NOT NULL
            ) AS member
        )
    END
WHERE id = ANY ($1::uuid[])
