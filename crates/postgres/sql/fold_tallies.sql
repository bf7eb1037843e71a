-- Purpose: many changes of the numbers become one a queue.
-- Parameters: $1 only when there are more rows than this; $2 at most this many rows.
-- Rows: none.
-- Index: none; the scan ends after that many rows. Rows that others fold are theirs.
WITH folded AS (
    DELETE FROM gristmill.tallies WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM gristmill.tallies
        WHERE EXISTS (SELECT FROM gristmill.tallies OFFSET $1::int8 LIMIT 1)
        LIMIT $2::int8 FOR UPDATE SKIP LOCKED))
    RETURNING completed, stale, queue
)
INSERT INTO gristmill.tallies (completed, stale, queue)
SELECT sum(completed), sum(stale), queue FROM folded GROUP BY queue
HAVING sum(completed) <> 0 OR sum(stale) <> 0
