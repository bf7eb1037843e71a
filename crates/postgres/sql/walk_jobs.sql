-- Purpose: looks at what never leaves the rows of jobs; which ones, and in what order, is added where it is
--   used.
-- Parameters: $1 of the addition, a cursor or ids; $2 queues, $3 kinds, $4 created at or after and $5 before
--   (ms), each NULL for any; $6 whether options are wanted; $7 of the addition, a limit.
-- Rows: id; whether the job fits; its options, if it fits and they are wanted.
-- Index: the primary key of `jobs`.
SELECT looked.id, looked.fits, CASE WHEN looked.fits AND $6::bool THEN looked.options END
FROM (
    SELECT jobs.id, jobs.options,
        ($2::int4[] IS NULL OR jobs.queue = ANY ($2))
            AND ($3::text[] IS NULL OR jobs.kind = ANY ($3))
            AND ($4::int8 IS NULL OR jobs.created_at >= $4)
            AND ($5::int8 IS NULL OR jobs.created_at < $5) AS fits
    FROM gristmill.jobs
) AS looked
