-- Purpose: notes when completed jobs are to be deleted that do not go with their partition.
-- Parameters: $1 when (ms), $2 id; one entry a job.
-- Rows: none.
-- Index: the primary key of `expiries`.
INSERT INTO gristmill.expiries (delete_at, id)
SELECT * FROM unnest($1::int8[], $2::uuid[])
ON CONFLICT DO NOTHING
