-- Purpose: available jobs with a priority that cannot be, and for which no fetch looks, get the nearest that
--   can.
-- Parameters: $1 the first priority and $2 the last one; $3 at most so many of a queue before the first, and
--   behind the last.
-- Rows: queue, the new priority, run_at (ms), id; one a job.
-- Index: the primary key of `queues`; `ready_order` from either end of each queue. Rows that others hold are
--   left to a later round.
UPDATE gristmill.ready SET priority = least(greatest(priority, $1::int2), $2::int2) WHERE ctid = ANY (ARRAY(
    SELECT odd.ctid
    FROM (SELECT queue FROM gristmill.queues ORDER BY queue) AS known
    CROSS JOIN unnest(ARRAY[-32768, $2::int2 + 1]::int2[], ARRAY[$1::int2 - 1, 32767]::int2[]) AS span (first, last)
    CROSS JOIN LATERAL (
        SELECT job.ctid FROM gristmill.ready AS job
        WHERE job.queue = known.queue AND job.priority >= span.first AND job.priority <= span.last
        ORDER BY job.priority, job.run_at, job.id LIMIT $3::int8 FOR UPDATE SKIP LOCKED
    ) AS odd))
RETURNING queue, priority, run_at, id
