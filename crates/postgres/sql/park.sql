-- Purpose: takes jobs out of claims again, as if they had not been fetched, and parks them: the worker has no
--   handler for them. A job whose cancel was asked for, or whose run has ended, stays where it is. A claim
--   that goes on has a list of cancels, as after `strike_jobs.sql`: the runs of the parked jobs are given
--   again, and end under this claim no more.
-- Parameters: $1 nonces; $2 ids; $3 the reason.
-- Rows: id, queue; the jobs that are parked.
-- Index: the primary keys of `claims`, by `ANY`, `attempts` and `jobs`. The caller locked the claims in a
--   statement before. `IS TRUE` makes a hash of the ids, whatever joins are allowed.
WITH member AS MATERIALIZED (
    SELECT claims.nonce, claims.queue, claims.cancels, member.*
    FROM gristmill.claims CROSS JOIN LATERAL
        unnest(claims.ids, claims.run_ats, claims.runs, claims.attempts, claims.priorities, claims.crashes) WITH ORDINALITY
        AS member (id, run_at, run, attempt, priority, crashes, place)
    WHERE claims.nonce = ANY ($1::uuid[])
),
judged AS MATERIALIZED (
    SELECT member.*,
        (member.id IN (SELECT unnest($2::uuid[]))) IS TRUE AND (member.id = ANY (member.cancels)) IS NOT TRUE
            AND NOT EXISTS (
                SELECT FROM gristmill.attempts WHERE attempts.id = member.id AND attempts.run = member.run OFFSET 0
            ) AS is_parked
    FROM member
),
rest AS MATERIALIZED (
    SELECT nonce, (count(*) FILTER (WHERE is_parked))::int4 AS parked,
        array_agg(id ORDER BY place) FILTER (WHERE NOT is_parked) AS ids,
        array_agg(run_at ORDER BY place) FILTER (WHERE NOT is_parked) AS run_ats,
        array_agg(run ORDER BY place) FILTER (WHERE NOT is_parked) AS runs,
        array_agg(attempt ORDER BY place) FILTER (WHERE NOT is_parked) AS attempts,
        array_agg(priority ORDER BY place) FILTER (WHERE NOT is_parked) AS priorities,
        array_agg(crashes ORDER BY place) FILTER (WHERE NOT is_parked) AS crashes
    FROM judged GROUP BY nonce
),
gone AS (
    DELETE FROM gristmill.claims USING rest
    WHERE claims.nonce = rest.nonce AND claims.nonce = ANY ($1) AND claims.open <= rest.parked
),
shrunk AS (
    UPDATE gristmill.claims SET
        open = claims.open - rest.parked, ids = rest.ids, run_ats = rest.run_ats, runs = rest.runs,
        attempts = rest.attempts, priorities = rest.priorities, crashes = rest.crashes,
        cancels = coalesce(claims.cancels, '{}')
    FROM rest WHERE claims.nonce = rest.nonce AND claims.nonce = ANY ($1) AND rest.parked > 0 AND claims.open > rest.parked
)
INSERT INTO gristmill.waiting (id, run_at, queue, run, attempt, priority, crashes, state, reason, kind)
SELECT id, run_at, queue, run - 1, attempt - 1, priority, crashes, 1, $3::text,
    (SELECT stored.kind FROM gristmill.jobs AS stored WHERE stored.id = judged.id)
FROM judged WHERE is_parked
RETURNING id, queue
