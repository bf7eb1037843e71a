-- Purpose: leases the first parked jobs of some queues and kinds to a worker that is alive, as `fetch.sql`
--   does available ones: it fails when the worker has gone since it began.
-- Parameters: $1 now (ms) or NULL; $2 worker; $3 the claim's number; arrays, one entry a queue and range of
--   priorities: $4 queue, $5 how many at most, $6 nonce, the same for the same queue, $7 and $8 the first and
--   last priority; $9 kinds; $10 the lock of this number.
-- Rows: one a job, in no order: queue, priority, run_at (ms), run, attempt, crashes, id, kind, max_attempts,
--   args, options, the claim's nonce.
-- Index: `waiting_parked` kind by kind, as long as jobs are wanted; the primary keys of `workers`, `queues`
--   and `jobs`; the unique index of `claims`. A place without a job is left to the audit. `OFFSET 0` keeps
--   the look-up inside: the plan of a table that was empty once may turn it round.
WITH fetched AS (
    DELETE FROM gristmill.waiting WHERE ctid = ANY (ARRAY(
        SELECT taken.ctid
        FROM unnest($4::int4[], $5::int8[], $7::int2[], $8::int2[]) AS want (queue, most, first, last)
        CROSS JOIN LATERAL (
            SELECT line.ctid
            FROM unnest($9::text[]) AS known (kind)
            CROSS JOIN LATERAL (
                SELECT job.ctid, job.priority, job.run_at, job.id
                FROM gristmill.waiting AS job
                WHERE job.queue = want.queue AND job.kind = known.kind
                    AND job.priority >= want.first AND job.priority <= want.last
                    AND EXISTS (SELECT FROM gristmill.jobs AS stored WHERE stored.id = job.id OFFSET 0)
                ORDER BY job.priority, job.run_at, job.id
                LIMIT want.most
                FOR UPDATE SKIP LOCKED
            ) AS line
            ORDER BY line.priority, line.run_at, line.id
            LIMIT want.most
        ) AS taken
        WHERE EXISTS (
            SELECT FROM gristmill.workers
            WHERE worker = $2::uuid
                AND gristmill.lease_ends(lease_expires_at, lease_ms, $1::int8) > gristmill.now_ms($1)
        )
        AND (SELECT pg_advisory_xact_lock($10::int8) IS NOT NULL)
        AND NOT EXISTS (
            SELECT FROM gristmill.claims WHERE worker = $2 AND number = $3::int8 AND nonce <> ALL ($6::uuid[])
        )
        AND (SELECT paused_at FROM gristmill.queues WHERE queues.queue = want.queue) IS NULL
    ))
    RETURNING id, run_at, queue, least(greatest(run, 0), 2147483646) + 1 AS run,
        least(greatest(attempt, 0), 65534) + 1 AS attempt, least(greatest(priority, -10), 10)::int2 AS priority,
        greatest(crashes, 0::int2) AS crashes
),
granted AS (
    INSERT INTO gristmill.claims
        (nonce, worker, number, fetched_at, queue, open, ids, run_ats, runs, attempts, priorities, crashes)
    SELECT ($6)[array_position($4, queue)], (SELECT gristmill.keep_worker($2, $1)), $3, gristmill.now_ms($1), queue,
        count(*), array_agg(id), array_agg(run_at), array_agg(run), array_agg(attempt), array_agg(priority),
        array_agg(crashes)
    FROM fetched GROUP BY queue
)
SELECT fetched.queue, fetched.priority, fetched.run_at, fetched.run, fetched.attempt, fetched.crashes, jobs.id, jobs.kind,
    jobs.max_attempts, jobs.args, jobs.options, ($6)[array_position($4, fetched.queue)]
FROM fetched CROSS JOIN LATERAL (
    SELECT stored.id, stored.kind, stored.max_attempts, stored.args, stored.options
    FROM gristmill.jobs AS stored WHERE stored.id = fetched.id OFFSET 0
) AS jobs
