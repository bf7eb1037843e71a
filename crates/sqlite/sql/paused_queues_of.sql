-- Purpose: the queues a worker fetches from that are paused.
-- Parameters: ?1 worker.
-- Rows: queue; none for queues that are no JSON.
-- Index: the primary key of `workers`, the unique name of `queues`.
SELECT queues.queue
FROM workers, json_each(CASE WHEN json_valid(workers.queues) THEN workers.queues ELSE '[]' END) AS wanted
    JOIN queues ON queues.name = wanted.value
WHERE workers.worker = ?1 AND queues.paused_at IS NOT NULL
