-- Purpose: parks the available jobs of a queue and priority that come next, but for those of some kinds.
-- Parameters: $1 queue; $2 priority; $3 and $4 the run_at (ms) and id behind which they stand; $5 how many
--   jobs are looked at; $6 the kinds that are left alone; $7 the reason.
-- Rows: one: how many were parked.
-- Index: `ready_order`, and the primary key of `jobs` for each. Rows that others hold are theirs to move.
WITH bound AS MATERIALIZED (
    SELECT ahead.run_at, ahead.id FROM (
        SELECT ready.run_at, ready.id FROM gristmill.ready
        WHERE ready.queue = $1::int4 AND ready.priority = $2::int2 AND (ready.run_at, ready.id) > ($3::int8, $4::uuid)
        ORDER BY ready.run_at, ready.id LIMIT $5::int8
    ) AS ahead ORDER BY ahead.run_at DESC, ahead.id DESC LIMIT 1
),
moved AS (
    DELETE FROM gristmill.ready WHERE ctid = ANY (ARRAY(
        SELECT job.ctid FROM gristmill.ready AS job
        WHERE job.queue = $1 AND job.priority = $2 AND (job.run_at, job.id) > ($3, $4)
            AND (job.run_at, job.id) <= ((SELECT run_at FROM bound), (SELECT id FROM bound))
            AND (SELECT stored.kind FROM gristmill.jobs AS stored WHERE stored.id = job.id) <> ALL ($6::text[])
        ORDER BY job.run_at, job.id
        FOR UPDATE OF job SKIP LOCKED
    ))
    RETURNING id, run_at, queue, run, attempt, priority, crashes
),
parked AS (
    INSERT INTO gristmill.waiting (id, run_at, queue, run, attempt, priority, crashes, state, reason, kind)
    SELECT id, run_at, queue, run, attempt, priority, crashes, 1, $7::text,
        (SELECT stored.kind FROM gristmill.jobs AS stored WHERE stored.id = moved.id)
    FROM moved
    RETURNING id
)
SELECT count(*) FROM parked
