-- Purpose: jobs go where their state belongs: 2 into `ready`; 0, 1, 4 into `waiting`; 6, 7 into `ended`.
-- Parameters: $1 now (ms); arrays, one entry a job: $2 id, $3 queue, $4 priority, $5 run, $6 attempt, $7
--   crashes, $8 state, $9 run_at (ms), $10 reason, $11 when it is deleted if it has ended (ms), $12 whether
--   it is parked.
-- Rows: none.
-- Index: the primary keys. The caller holds the lock of what the jobs left, so none of them is anywhere.
WITH item AS MATERIALIZED (
    SELECT * FROM unnest($2::uuid[], $3::int4[], $4::int2[], $5::int4[], $6::int4[], $7::int2[], $8::int2[], $9::int8[],
        $10::text[], $11::int8[], $12::bool[])
        AS t (id, queue, priority, run, attempt, crashes, state, run_at, reason, delete_at, is_parked)
),
available AS (
    INSERT INTO gristmill.ready (id, run_at, queue, run, attempt, priority, crashes, reason)
    SELECT id, run_at, queue, run, attempt, priority, crashes, reason FROM item WHERE state = 2
),
waits AS (
    INSERT INTO gristmill.waiting (id, run_at, queue, run, attempt, priority, crashes, state, reason, kind)
    SELECT id, run_at, queue, run, attempt, priority, crashes, state, reason,
        CASE WHEN is_parked THEN (SELECT jobs.kind FROM gristmill.jobs WHERE jobs.id = item.id) END
    FROM item WHERE state IN (0, 1, 4)
)
INSERT INTO gristmill.ended
    (id, finished_at, delete_at, queue, run, attempt, priority, crashes, state, run_at, reason)
SELECT id, $1::int8, delete_at, queue, run, attempt, priority, crashes, state, run_at, reason
FROM item WHERE state IN (6, 7)
