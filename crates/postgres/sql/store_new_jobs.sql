-- Purpose: stores those jobs whose ids are new, and passes over the others.
-- Parameters: as `store_jobs.sql`; no id twice.
-- Rows: now (ms), whether what is committed survives a loss of power, whether the queues are there, and
--   the id, of each job that was stored; one row without an id when none was.
-- Index: the primary keys. A job that another transaction is storing is waited for; in the order of the ids,
--   so that two do not wait for each other crosswise.
WITH clock AS MATERIALIZED (SELECT gristmill.now_ms($1::int8) AS now),
known AS MATERIALIZED (
    SELECT count(*) = cardinality($12::int4[]) AS are_known FROM gristmill.queues WHERE queue = ANY ($12)
),
item AS MATERIALIZED (
    SELECT t.*, clock.now, coalesce(t.held, false) AS is_held,
        least(coalesce(t.instant, clock.now + coalesce(t.delay, 0)), 253402207200000) AS due
    FROM clock, known, unnest($2::uuid[], $3::int4[], $4::int2[], $5::text[], $6::int4[], $7::bytea[], $8::text[], $9::int8[],
        $10::int8[], $11::bool[])
        AS t (id, queue, priority, kind, max_attempts, args, options, delay, instant, held)
    WHERE known.are_known
),
job AS (
    INSERT INTO gristmill.jobs (id, created_at, queue, max_attempts, priority, kind, options, args)
    SELECT id, now, queue, max_attempts, priority, kind, options, args FROM item
    ON CONFLICT (id) DO NOTHING
    RETURNING id
),
marked AS MATERIALIZED (SELECT item.*, item.id IN (SELECT job.id FROM job) AS is_new FROM item),
available AS (
    INSERT INTO gristmill.ready (id, run_at, queue, run, attempt, priority, crashes)
    SELECT id, due, queue, 0, 0, priority, 0 FROM marked WHERE is_new AND NOT is_held AND due <= now
),
waits AS (
    INSERT INTO gristmill.waiting (id, run_at, queue, run, attempt, priority, crashes, state)
    SELECT id, CASE WHEN is_held THEN now ELSE due END, queue, 0, 0, priority, 0, CASE WHEN is_held THEN 0 ELSE 1 END
    FROM marked WHERE is_new AND (is_held OR due > now)
)
SELECT clock.now, current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off', known.are_known, job.id
FROM clock CROSS JOIN known LEFT JOIN job ON true
