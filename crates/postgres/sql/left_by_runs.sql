-- Purpose: what runs left: how far they say they are, or were, and what they returned.
-- Parameters: arrays, one entry a run: $1 id, $2 run.
-- Rows: id, progress (per cent) or NULL, output or NULL; those with either.
-- Index: the primary keys of `records` and `attempts`; the materialised list lets a partitioned table find
--   the one partition of each id. `OFFSET 0` keeps the look-up inside: the plan of a table that was empty
--   once may turn it round.
WITH wanted AS MATERIALIZED (SELECT DISTINCT item.id, item.run FROM unnest($1::uuid[], $2::int4[]) AS item (id, run))
SELECT wanted.id, records.progress, attempts.output
FROM wanted
    LEFT JOIN LATERAL (
        SELECT made.progress FROM gristmill.records AS made
        WHERE made.id = wanted.id AND made.run = wanted.run OFFSET 0
    ) AS records ON true
    LEFT JOIN LATERAL (
        SELECT ended.output FROM gristmill.attempts AS ended
        WHERE ended.id = wanted.id AND ended.run = wanted.run OFFSET 0
    ) AS attempts ON true
WHERE records.progress IS NOT NULL OR attempts.output IS NOT NULL
