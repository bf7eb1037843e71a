-- Purpose: what is known of runs that a worker says have ended.
-- Parameters: arrays, one entry a run: $1 id, $2 run, $3 whether the job's options are wanted.
-- Rows: one a run, in the order of the arrays: whether the job is there; its options; token and who ended it,
--   NULL for a run that has not ended.
-- Index: the primary keys of `jobs` and `attempts`. The caller locked the claims in a statement before.
--   `OFFSET 0` keeps the look-up inside: the plan of a table that was empty once may turn it round.
WITH item AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::int4[], $3::bool[]) WITH ORDINALITY AS item (id, run, with_options, place)
)
SELECT jobs.id IS NOT NULL, CASE WHEN item.with_options THEN jobs.options END, attempts.token, attempts.ended_by
FROM item
    LEFT JOIN LATERAL (
        SELECT stored.id, stored.options FROM gristmill.jobs AS stored WHERE stored.id = item.id OFFSET 0
    ) AS jobs ON true
    LEFT JOIN LATERAL (
        SELECT ended.token, ended.ended_by FROM gristmill.attempts AS ended
        WHERE ended.id = item.id AND ended.run = item.run OFFSET 0
    ) AS attempts ON true
ORDER BY item.place
