-- Purpose: noted deletions that are settled.
-- Parameters: $1 when each was due (ms), $2 id; one entry a job.
-- Rows: none.
-- Index: the primary key of `expiries`, whatever the statistics say: hence the look-up of each entry.
DELETE FROM gristmill.expiries WHERE ctid = ANY (ARRAY(
    SELECT entry.ctid FROM unnest($1::int8[], $2::uuid[]) AS settled (delete_at, id) CROSS JOIN LATERAL (
        SELECT expiries.ctid FROM gristmill.expiries
        WHERE expiries.delete_at = settled.delete_at AND expiries.id = settled.id LIMIT 1) AS entry))
