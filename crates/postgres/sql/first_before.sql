-- Purpose: the first available job of each priority of a queue, up to and including a position.
-- Parameters: $1 queue; arrays, one entry a priority: $2 priority, $3 run_at (ms) and $4 id of the position.
-- Rows: priority, run_at (ms), id; of priorities that have one.
-- Index: `ready_order` priority by priority, dead entries included: that is what the caller measures.
SELECT lane.priority, first.run_at, first.id
FROM unnest($2::int2[], $3::int8[], $4::uuid[]) AS lane (priority, last_run_at, last_id) CROSS JOIN LATERAL (
    SELECT job.run_at, job.id FROM gristmill.ready AS job
    WHERE job.queue = $1::int4 AND job.priority = lane.priority
        AND (job.run_at, job.id) <= (lane.last_run_at, lane.last_id)
    ORDER BY job.run_at, job.id LIMIT 1
) AS first
