-- Purpose: records how runs ended.
-- Parameters: $1 now (ms); arrays, one entry a run: $2 id, $3 run, $4 attempt, $5 worker, $6 fetched_at (ms),
--   $7 run_at (ms), $8 started_at (ms), $9 token, $10 ending, $11 state, $12 who ended it, $13 reason, $14
--   error, $15 backtrace, $16 output.
-- Rows: none.
-- Index: the primary key of `attempts`, which a run that has ended breaks.
INSERT INTO gristmill.attempts (finished_at, id, run, attempt, worker, fetched_at, run_at, started_at, token, ending, state,
    ended_by, reason, error, backtrace, output)
SELECT $1::int8, item.* FROM unnest($2::uuid[], $3::int4[], $4::int4[], $5::uuid[], $6::int8[], $7::int8[], $8::int8[],
    $9::int4[], $10::int2[], $11::int2[], $12::int2[], $13::text[], $14::text[], $15::text[], $16::bytea[]) AS item
