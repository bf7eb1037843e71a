-- Purpose: what runs left: how far they say they are, or were, and what they returned.
-- Parameters: arrays, one entry a run: $1 id, $2 run.
-- Rows: id, progress (per cent) or NULL, output or NULL; those with either.
-- Index: the primary keys of `records` and `attempts`; the materialised list lets a partitioned table find the one
--   partition of each id.
WITH wanted AS MATERIALIZED (SELECT DISTINCT item.id, item.run FROM unnest($1::uuid[], $2::int4[]) AS item (id, run))
SELECT wanted.id, records.progress, attempts.output
FROM wanted
    LEFT JOIN gristmill.records ON records.id = wanted.id AND records.run = wanted.run
    LEFT JOIN gristmill.attempts ON attempts.id = wanted.id AND attempts.run = wanted.run
WHERE records.progress IS NOT NULL OR attempts.output IS NOT NULL
