-- Purpose: the queues that have something to fetch.
-- Parameters: none.
-- Rows: queue.
-- Index: none; `counts` has a few rows a queue.
SELECT queue FROM counts WHERE state = 2 AND amount > 0
