-- Purpose: runs of jobs that ended badly.
-- Parameters: arrays, one entry a job: $1 id, $2 the first run to look at; $3 limit for each job.
-- Rows: run, attempt, ending, state, worker, fetched_at, started_at, finished_at (ms), reason, error, NULL
--   for the backtrace; the job's id. The latest of a job first.
-- Index: the primary key of `attempts`. 11 is the ending of a crash, which leaves no error.
WITH wanted AS MATERIALIZED (
    SELECT DISTINCT item.id, item.first_run FROM unnest($1::uuid[], $2::int4[]) AS item (id, first_run)
)
SELECT bad.run, bad.attempt, bad.ending, bad.state, bad.worker, bad.fetched_at, bad.started_at, bad.finished_at,
    bad.reason, bad.error, NULL::text, wanted.id
FROM wanted
    CROSS JOIN LATERAL (
        SELECT run, attempt, ending, state, worker, fetched_at, started_at, finished_at, reason, error
        FROM gristmill.attempts
        WHERE attempts.id = wanted.id AND attempts.run >= wanted.first_run
            AND (attempts.error IS NOT NULL OR attempts.ending = 11)
        ORDER BY attempts.run DESC LIMIT $3::int8
    ) AS bad
ORDER BY wanted.id, bad.run DESC
