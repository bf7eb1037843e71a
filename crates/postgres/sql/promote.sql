-- Purpose: due jobs become available, the longest due first.
-- Parameters: $1 now, NULL for the store's clock (ms); $2 at most this many.
-- Rows: queue, priority, the first one's run_at (ms) and id, how many; one a queue and priority.
-- Index: `waiting_due`, whose condition is repeated literally. The rows are deleted by where they are: `id IN (…)` turned
--   into a scan of the table under a generic plan. Rows that others hold are theirs to move.
WITH due AS (
    DELETE FROM gristmill.waiting WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM gristmill.waiting
        WHERE state IN (1, 4) AND run_at <= (SELECT gristmill.now_ms($1::int8))
        ORDER BY run_at, id LIMIT $2::int8 FOR UPDATE SKIP LOCKED))
    RETURNING id, run_at, queue, run, attempt, priority, crashes
),
available AS (
    INSERT INTO gristmill.ready (id, run_at, queue, run, attempt, priority, crashes)
    SELECT id, run_at, queue, run, attempt, priority, crashes FROM due
)
SELECT queue, priority, min(run_at), (array_agg(id ORDER BY run_at, id))[1], count(*)
FROM due GROUP BY queue, priority
