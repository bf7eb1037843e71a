-- Purpose: noted deletions that are settled.
-- Parameters: $1 when each was due (ms), $2 id; one entry a job.
-- Rows: none.
-- Index: the primary key of `expiries`.
DELETE FROM gristmill.expiries USING unnest($1::int8[], $2::uuid[]) AS settled (delete_at, id)
WHERE expiries.delete_at = settled.delete_at AND expiries.id = settled.id
