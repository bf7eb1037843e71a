-- Purpose: who holds unique keys.
-- Parameters: arrays, one entry a key: $1 queue, $2 key.
-- Rows: queue, key, id of those that are held.
-- Index: the primary key of `uniques`.
--   `OFFSET 0` keeps the look-up inside: the plan of a table that was empty once may turn it round.
SELECT held.queue, held.key, held.id
FROM unnest($1::int4[], $2::bytea[]) AS wanted (queue, key)
CROSS JOIN LATERAL (
    SELECT uniques.queue, uniques.key, uniques.id FROM gristmill.uniques
    WHERE uniques.queue = wanted.queue AND uniques.key = wanted.key OFFSET 0
) AS held
