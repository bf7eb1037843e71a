-- Purpose: completed jobs are retried by hand: what they completed with no longer tells their state.
-- Parameters: arrays, one entry a job: $1 id, $2 its latest run.
-- Rows: none.
-- Index: the primary key of `retried`.
INSERT INTO gristmill.retried (id, run)
SELECT * FROM unnest($1::uuid[], $2::int4[])
ON CONFLICT (id) DO UPDATE SET run = excluded.run
