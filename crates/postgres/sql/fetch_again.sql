-- Purpose: the jobs of an existing claim whose runs have not ended. Used for a repeated fetch, whose first
--   reply may be lost, and for a fetch that did not return all rows of its jobs.
-- Parameters: $1 worker; $2 the claim's number.
-- Rows: one a job: queue, priority, run_at (ms), run, attempt, crashes, id, kind, max_attempts, args,
--   options, the claim's nonce.
-- Index: the unique index of `claims`; the primary keys of `attempts` and `jobs`.
--   `OFFSET 0` keeps the look-up inside: the plan of a table that was empty once may turn it round.
SELECT claims.queue, member.priority, member.run_at, member.run, member.attempt, member.crashes, jobs.id, jobs.kind,
    jobs.max_attempts, jobs.args, jobs.options, claims.nonce
FROM gristmill.claims
CROSS JOIN LATERAL unnest(
    claims.ids, claims.run_ats, claims.runs, claims.attempts, claims.priorities, claims.crashes
) AS member (id, run_at, run, attempt, priority, crashes)
CROSS JOIN LATERAL (
    SELECT stored.id, stored.kind, stored.max_attempts, stored.args, stored.options
    FROM gristmill.jobs AS stored WHERE stored.id = member.id OFFSET 0
) AS jobs
WHERE claims.worker = $1::uuid AND claims.number = $2::int8 AND NOT EXISTS (
    SELECT FROM gristmill.attempts WHERE attempts.id = member.id AND attempts.run = member.run OFFSET 0
)
