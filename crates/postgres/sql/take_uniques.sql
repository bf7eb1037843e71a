-- Purpose: takes unique keys that are free.
-- Parameters: arrays, one entry a key, in ascending order: $1 queue, $2 key, $3 the job's id.
-- Rows: queue, key, id of those that were taken.
-- Index: the primary key of `uniques`. A key that another transaction is taking or freeing is waited for; in
--   ascending order, so that two do not wait for each other crosswise.
INSERT INTO gristmill.uniques (queue, key, id)
SELECT * FROM unnest($1::int4[], $2::bytea[], $3::uuid[])
ON CONFLICT (queue, key) DO NOTHING
RETURNING queue, key, id
