-- Purpose: when the longest due available job of each queue became due: one look a queue and priority.
-- Parameters: $1 the smallest and $2 the largest priority; $3 the time (ms), if a test gives it.
-- Rows: queue or NULL, when (ms); the first row is that of no queue: the time, and how many finishes came too
--   late.
-- Index: `ready_order`. All of `tallies` is read.
SELECT NULL::int4, gristmill.now_ms($3::int8), (SELECT coalesce(sum(tallies.stale), 0)::int8 FROM gristmill.tallies)
UNION ALL
SELECT queues.queue, min(first.run_at), 0
FROM gristmill.queues
    CROSS JOIN generate_series($1::int4, $2::int4) AS priorities (priority)
    CROSS JOIN LATERAL (
        SELECT ready.run_at FROM gristmill.ready
        WHERE ready.queue = queues.queue AND ready.priority = priorities.priority::int2
        ORDER BY ready.run_at LIMIT 1
    ) AS first
GROUP BY queues.queue
