-- Purpose: who holds unique keys.
-- Parameters: arrays, one entry a key: $1 queue, $2 key.
-- Rows: queue, key, id of those that are held.
-- Index: the primary key of `uniques`.
SELECT held.queue, held.key, held.id
FROM unnest($1::int4[], $2::bytea[]) AS wanted (queue, key)
JOIN gristmill.uniques AS held ON held.queue = wanted.queue AND held.key = wanted.key
