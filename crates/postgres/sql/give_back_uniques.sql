-- Purpose: frees keys that were taken in this transaction for jobs which were not stored.
-- Parameters: arrays, one entry a key: $1 queue, $2 key.
-- Rows: none.
-- Index: the primary key of `uniques`.
DELETE FROM gristmill.uniques USING unnest($1::int4[], $2::bytea[]) AS wanted (queue, key)
WHERE uniques.queue = wanted.queue AND uniques.key = wanted.key
    AND uniques.queue = ANY ($1) AND uniques.key = ANY ($2)
