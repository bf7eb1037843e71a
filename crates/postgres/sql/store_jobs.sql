-- Purpose: stores jobs whose ids are new; if one is there, nothing is stored and it is an error (23505).
-- Parameters: $1 now (ms) or NULL for the server's clock; arrays, one entry a job, ids ascending: $2 id, $3
--   queue, $4 priority, $5 kind, $6 max_attempts, $7 args; and arrays that are empty where no job has such a
--   thing: $8 options, $9 delay (ms), $10 instant (ms), $11 whether it is suspended; $12 the different queues
--   of $3 that have to be there, or none.
-- Rows: one: now (ms); whether what is committed survives a loss of power; whether the queues are there:
--   otherwise nothing was stored.
-- Index: the primary keys. Delays and instants are at most the last instant there is, so no sum overflows.
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
),
available AS (
    INSERT INTO gristmill.ready (id, run_at, queue, run, attempt, priority, crashes)
    SELECT id, due, queue, 0, 0, priority, 0 FROM item WHERE NOT is_held AND due <= now
),
waits AS (
    INSERT INTO gristmill.waiting (id, run_at, queue, run, attempt, priority, crashes, state)
    SELECT id, CASE WHEN is_held THEN now ELSE due END, queue, 0, 0, priority, 0, CASE WHEN is_held THEN 0 ELSE 1 END
    FROM item WHERE is_held OR due > now
)
SELECT now, current_setting('fsync') = 'on' AND current_setting('synchronous_commit') <> 'off', known.are_known
FROM clock, known
