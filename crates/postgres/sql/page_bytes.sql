-- Purpose: how large jobs are, before any of them is read.
-- Parameters: $1 ids; $2 how many errors are shown of a job.
-- Rows: bytes of a job's args, options, latest output and shown errors; in the order of $1. A job that is
--   gone has none.
-- Index: the primary keys, asked for each id. The length of a large value is known without reading it.
SELECT coalesce(job.bytes, 0)::int8 + coalesce(latest.bytes, 0) + coalesce(errors.bytes, 0)
FROM unnest($1::uuid[]) WITH ORDINALITY AS wanted (id, place)
    LEFT JOIN LATERAL (
        SELECT octet_length(jobs.args) + coalesce(octet_length(jobs.options), 0) AS bytes
        FROM gristmill.jobs
        WHERE jobs.id = wanted.id OFFSET 0
    ) AS job ON true
    LEFT JOIN LATERAL (
        SELECT octet_length(attempts.output) AS bytes
        FROM gristmill.attempts
        WHERE attempts.id = wanted.id
        ORDER BY attempts.run DESC LIMIT 1
    ) AS latest ON true
    LEFT JOIN LATERAL (
        SELECT sum(octet_length(shown.error)) AS bytes
        FROM (
            SELECT attempts.error FROM gristmill.attempts
            WHERE attempts.id = wanted.id AND attempts.error IS NOT NULL
            ORDER BY attempts.run DESC LIMIT $2::int8
        ) AS shown
    ) AS errors ON true
ORDER BY wanted.place
