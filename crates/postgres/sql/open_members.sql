-- Purpose: the runs of claims that have not ended and whose jobs are there.
-- Parameters: $1 nonces.
-- Rows: nonce, worker, fetched_at (ms), queue, id, run, attempt, priority, crashes, run_at (ms),
--   max_attempts, options, whether a cancel was asked for; by nonce, then in the order of the claim.
-- Index: the primary keys of `claims`, `jobs` and `attempts`. The caller locked the claims in a statement
--   before. `OFFSET 0` keeps the look-up inside: the plan of a table that was empty once may turn it round.
WITH member AS MATERIALIZED (
    SELECT claims.nonce, claims.worker, claims.fetched_at, claims.queue, claims.cancels, member.*
    FROM gristmill.claims CROSS JOIN LATERAL
        unnest(claims.ids, claims.runs, claims.attempts, claims.priorities, claims.crashes, claims.run_ats) WITH ORDINALITY
        AS member (id, run, attempt, priority, crashes, run_at, place)
    WHERE claims.nonce = ANY ($1::uuid[])
)
SELECT member.nonce, member.worker, member.fetched_at, member.queue, member.id, member.run, member.attempt,
    member.priority, member.crashes, member.run_at, jobs.max_attempts, jobs.options,
    coalesce(member.id = ANY (member.cancels), false)
FROM member CROSS JOIN LATERAL (
    SELECT stored.max_attempts, stored.options FROM gristmill.jobs AS stored WHERE stored.id = member.id OFFSET 0
) AS jobs
WHERE NOT EXISTS (SELECT FROM gristmill.attempts WHERE attempts.id = member.id AND attempts.run = member.run OFFSET 0)
ORDER BY member.nonce, member.place
