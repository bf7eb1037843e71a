-- Purpose: the queues that have something to fetch.
-- Parameters: none.
-- Rows: queue.
-- Index: waiting_parked; `counts` has a few rows a queue.
SELECT queue FROM counts
WHERE amount > 0
    AND (state = 2 OR (state = 1 AND EXISTS (
        SELECT 1 FROM waiting WHERE waiting.queue = counts.queue AND waiting.kind IS NOT NULL)))
