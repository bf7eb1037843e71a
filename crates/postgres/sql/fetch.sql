-- Purpose: leases the first available jobs of some queues to a worker that is alive, under one claim a queue.
--   Takes nothing if the claim number has a claim with another nonce: it is a repeat, see `fetch_again.sql`.
--   If the worker was forgotten after the snapshot, `keep_worker` returns NULL and the NOT NULL of
--   `claims.worker` fails the statement. A statement that forgets a worker waits for its fetches.
-- Parameters: $1 now (ms) or NULL; $2 worker; $3 the claim's number; arrays, one entry a queue and range of
--   priorities, no two of which overlap: $4 queue, $5 how many at most, $6 nonce, the same for the same
--   queue, $7 and $8 its first and last range; arrays, one entry a range of the index, in the order of
--   taking: $9 priority, $10 and $11 the run_at (ms) and id it begins after, $12 and $13 those it ends with;
--   $14 the queues for which this call has made a claim already, in its transaction; $15 the lock of this
--   number, so that a repeat that comes while the first call is under way ends after it; $16: least number of
--   jobs for which their rows are read as an id range.
-- Rows: one a queue with what was taken, as arrays with one entry a job, or with one for all: queue,
--   priorities, run_ats (ms), runs and attempts of this run, crashes, and in the last column ids; and one a
--   job, the other columns: id, kind, max_attempts, args, options. SQL promises no order, but an Append
--   returns the rows of queues first. A row has NULL in the other kind's columns. Rows of jobs may be
--   missing; `fetch_again.sql` reads them.
-- Index: `ready_order` range by range, as long as jobs are wanted, so that no more rows are locked than are
--   taken; the primary keys of `workers`, `queues` and `jobs`; the unique index of `claims`. `ctid = ANY
--   (ARRAY(…))` is a scan by ctid under every plan. `OFFSET 0` keeps the look-up inside: the plan of a table
--   that was empty once may turn it round. Jobs that are fetched together were mostly stored together.
--   Reading a range of `jobs` costs a fifth of looking each up; what else lies in it is stepped over, as long
--   as that is no more than twice as much. Rows that were deleted are not counted: what was made more than
--   five seconds apart is looked up. A number that cannot be counts as the nearest that can, so that no sum
--   overflows.
WITH fetched AS (
    DELETE FROM gristmill.ready WHERE ctid = ANY (ARRAY(
        SELECT taken.ctid
        FROM unnest($4::int4[], $5::int8[], $7::int4[], $8::int4[]) AS want (queue, most, first_lane, last_lane)
        CROSS JOIN LATERAL (
            SELECT spot.ctid
            FROM unnest(
                ($9::int2[])[want.first_lane:want.last_lane], ($10::int8[])[want.first_lane:want.last_lane],
                ($11::uuid[])[want.first_lane:want.last_lane], ($12::int8[])[want.first_lane:want.last_lane],
                ($13::uuid[])[want.first_lane:want.last_lane]
            ) AS lane (priority, after_run_at, after_id, last_run_at, last_id)
            CROSS JOIN LATERAL (
                SELECT job.ctid
                FROM gristmill.ready AS job
                WHERE job.queue = want.queue AND job.priority = lane.priority
                    AND (job.run_at, job.id) > (lane.after_run_at, lane.after_id)
                    AND (job.run_at, job.id) <= (lane.last_run_at, lane.last_id)
                ORDER BY job.run_at, job.id
                LIMIT want.most
                FOR UPDATE SKIP LOCKED
            ) AS spot
            LIMIT want.most
        ) AS taken
        WHERE EXISTS (
            SELECT FROM gristmill.workers
            WHERE worker = $2::uuid
                AND gristmill.lease_ends(lease_expires_at, lease_ms, $1::int8) > gristmill.now_ms($1)
        )
        AND (SELECT pg_advisory_xact_lock($15::int8) IS NOT NULL)
        AND NOT EXISTS (
            SELECT FROM gristmill.claims WHERE worker = $2 AND number = $3::int8 AND nonce <> ALL ($6::uuid[])
        )
        AND (SELECT paused_at FROM gristmill.queues WHERE queues.queue = want.queue) IS NULL
    ))
    RETURNING id, run_at, queue, run, attempt, priority, crashes
),
gathered AS MATERIALIZED (
    SELECT queue, count(*) AS open, array_agg(id) AS ids, array_agg(run_at) AS run_ats, array_agg(least(greatest(run, 0), 2147483646) + 1) AS runs,
        array_agg(least(greatest(attempt, 0), 65534) + 1) AS attempts, array_agg(priority) AS priorities, array_agg(greatest(crashes, 0::int2)) AS crashes,
        max(run | attempt | crashes) = 0 AS are_new, min(priority) = max(priority) AS are_equal
    FROM fetched GROUP BY queue
),
span AS MATERIALIZED (
    SELECT span.first, span.last, span.open,
        span.open >= $16::int8 AND gristmill.made_at(span.last) - gristmill.made_at(span.first) <= 5000 AS is_near
    FROM (
        SELECT (SELECT id FROM fetched ORDER BY id LIMIT 1) AS first,
            (SELECT id FROM fetched ORDER BY id DESC LIMIT 1) AS last,
            (SELECT sum(open)::int8 FROM gathered) AS open
        OFFSET 0
    ) AS span
),
granted AS (
    INSERT INTO gristmill.claims
        (nonce, worker, number, fetched_at, queue, open, ids, run_ats, runs, attempts, priorities, crashes)
    SELECT ($6)[array_position($4, queue)], (SELECT gristmill.keep_worker($2, $1)), $3, gristmill.now_ms($1), queue, open,
        ids, run_ats, runs, attempts, priorities, crashes
    FROM gathered WHERE queue <> ALL ($14::int4[])
),
extended AS (
    UPDATE gristmill.claims SET
        open = claims.open + more.open, ids = claims.ids || more.ids, run_ats = claims.run_ats || more.run_ats,
        runs = claims.runs || more.runs, attempts = claims.attempts || more.attempts,
        priorities = claims.priorities || more.priorities, crashes = claims.crashes || more.crashes
    FROM gathered AS more
    WHERE more.queue = ANY ($14) AND claims.nonce = ($6)[array_position($4, more.queue)] AND claims.nonce = ANY ($6)
)
SELECT queue, CASE WHEN are_equal THEN priorities[1:1] ELSE priorities END, run_ats,
    CASE WHEN are_new THEN '{1}' ELSE runs END, CASE WHEN are_new THEN '{1}' ELSE attempts END,
    CASE WHEN are_new THEN '{0}' ELSE crashes END, NULL::uuid AS id, NULL::text AS kind, NULL::int4 AS max_attempts,
    NULL::bytea AS args, NULL::text AS options, ids
FROM gathered
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, near.id, near.kind, near.max_attempts, near.args, near.options, NULL
FROM (
    SELECT stored.id, stored.kind, stored.max_attempts, stored.args, stored.options
    FROM gristmill.jobs AS stored
    WHERE stored.id >= (SELECT first FROM span) AND stored.id <= (SELECT last FROM span)
    LIMIT (SELECT 3 * open FROM span)
) AS near
WHERE (SELECT is_near FROM span) AND (near.id IN (SELECT id FROM fetched)) IS TRUE
UNION ALL
SELECT NULL, NULL, NULL, NULL, NULL, NULL, jobs.id, jobs.kind, jobs.max_attempts, jobs.args, jobs.options, NULL
FROM fetched CROSS JOIN LATERAL (
    SELECT stored.id, stored.kind, stored.max_attempts, stored.args, stored.options
    FROM gristmill.jobs AS stored WHERE stored.id = fetched.id OFFSET 0
) AS jobs
WHERE NOT (SELECT is_near FROM span)
