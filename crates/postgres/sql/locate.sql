-- Purpose: where jobs are, of one moment: a row for each job that is there, and a row for each claim's member
--   that may be the run of one that is in no other place.
-- Parameters: $1 ids; $2 whether kind and args are wanted.
-- Rows: place in $1, from 1, or NULL for a claim's member; id; run, attempt, crashes, run_at (ms), worker,
--   fetched_at (ms): of a job's row worker and fetched_at are those of its latest run that ended, or NULL. Of
--   jobs alone: state, 3 for one in no other place; queue, priority, max_attempts, created_at (ms), options,
--   finished_at (ms), reason, the latest ended run and its ending, kind, args. Of members alone: nonce,
--   whether the cancel was asked for. Of jobs alone: whether it was cancelled or discarded, whether it is
--   parked. A member counts whose run is later than the latest ended one; an older claim may still list a run
--   that has ended.
-- Index: the primary keys, asked for each id, so that a plan made while a table was empty holds when it is
--   full; a partitioned table finds the one partition of each. Claims are read only when a job is in no other
--   place, then all of them: no fetch keeps an index by job. `IS TRUE` makes a hash of the ids that are
--   looked for, whatever joins are allowed.
WITH wanted AS MATERIALIZED (
    SELECT item.id, item.place FROM unnest($1::uuid[]) WITH ORDINALITY AS item (id, place)
),
job AS MATERIALIZED (
    SELECT wanted.place, jobs.id, jobs.queue, jobs.priority, jobs.max_attempts, jobs.created_at, jobs.options,
        CASE WHEN $2::bool THEN jobs.kind END AS kind, CASE WHEN $2 THEN jobs.args END AS args,
        CASE
            WHEN ready.id IS NOT NULL THEN 2
            WHEN waiting.id IS NOT NULL THEN waiting.state
            WHEN ended.id IS NOT NULL THEN ended.state
            WHEN latest.state = 5 AND latest.run > coalesce(retried.run, 0) THEN 5
            ELSE 3
        END::int2 AS state,
        coalesce(ready.run, waiting.run, ended.run, latest.run, 0) AS run,
        coalesce(ready.attempt, waiting.attempt, ended.attempt, latest.attempt, 0) AS attempt,
        coalesce(ready.crashes, waiting.crashes, ended.crashes, 0::int2) AS crashes,
        coalesce(ready.run_at, waiting.run_at, ended.run_at, latest.run_at, jobs.created_at) AS run_at,
        coalesce(ended.finished_at, latest.finished_at) AS finished_at,
        CASE
            WHEN ready.id IS NOT NULL THEN ready.reason
            WHEN waiting.id IS NOT NULL THEN waiting.reason
            WHEN ended.id IS NOT NULL THEN ended.reason
            ELSE latest.reason
        END AS reason,
        latest.worker, latest.fetched_at, latest.run AS latest_run, latest.ending, ended.id IS NOT NULL AS is_ended,
        waiting.kind IS NOT NULL AS is_parked
    FROM wanted
        CROSS JOIN LATERAL (SELECT * FROM gristmill.jobs WHERE jobs.id = wanted.id LIMIT 1) AS jobs
        LEFT JOIN LATERAL (SELECT * FROM gristmill.ready WHERE ready.id = wanted.id LIMIT 1) AS ready ON true
        LEFT JOIN LATERAL (SELECT * FROM gristmill.waiting WHERE waiting.id = wanted.id LIMIT 1) AS waiting ON true
        LEFT JOIN LATERAL (SELECT * FROM gristmill.ended WHERE ended.id = wanted.id LIMIT 1) AS ended ON true
        LEFT JOIN LATERAL (SELECT * FROM gristmill.retried WHERE retried.id = wanted.id LIMIT 1) AS retried ON true
        LEFT JOIN LATERAL (
            SELECT attempts.state, attempts.run, attempts.attempt, attempts.run_at, attempts.finished_at, attempts.reason,
                attempts.worker, attempts.fetched_at, attempts.ending
            FROM gristmill.attempts
            WHERE attempts.id = wanted.id
            ORDER BY attempts.run DESC LIMIT 1
        ) AS latest ON true
)
SELECT job.place, job.id, job.run, job.attempt, job.crashes, job.run_at, job.worker, job.fetched_at, job.state, job.queue,
    job.priority, job.max_attempts, job.created_at, job.options, job.finished_at, job.reason, job.latest_run, job.ending,
    job.kind, job.args, NULL::uuid AS nonce, NULL::bool AS is_cancelled, job.is_ended, job.is_parked
FROM job
UNION ALL
SELECT NULL, member.id, member.run, member.attempt, member.crashes, member.run_at, claims.worker, claims.fetched_at, NULL,
    NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, claims.nonce,
    coalesce(member.id = ANY (claims.cancels), false), NULL, NULL
FROM gristmill.claims CROSS JOIN LATERAL
    unnest(claims.ids, claims.runs, claims.attempts, claims.crashes, claims.run_ats)
    AS member (id, run, attempt, crashes, run_at)
WHERE EXISTS (SELECT FROM job WHERE job.state = 3)
    AND (member.id IN (SELECT job.id FROM job WHERE job.state = 3)) IS TRUE
