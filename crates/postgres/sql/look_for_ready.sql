-- Purpose: which queues have jobs to fetch, and what a fetch returns beside them.
-- Parameters: $1 now (ms) or NULL; $2 worker; $3 only waiting jobs due at this instant or later (ms).
-- Rows: one: now (ms); until when the worker's leases hold (NULL: the worker is not registered); when the
--   next waiting job of any queue is due, or NULL; the queues that have available or parked jobs and are not
--   paused.
-- Index: `ready_order` and `waiting_parked`, one look a queue that has such jobs, however many queues there
--   are; `waiting_due`; the primary keys of `workers` and `queues`.
WITH RECURSIVE found AS (
    (SELECT queue FROM gristmill.ready WHERE queue IS NOT NULL ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT ready.queue FROM gristmill.ready WHERE ready.queue > found.queue ORDER BY ready.queue LIMIT 1)
    FROM found WHERE found.queue IS NOT NULL
),
parked AS (
    (SELECT queue FROM gristmill.waiting WHERE kind IS NOT NULL AND queue > 0 ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (
        SELECT waiting.queue FROM gristmill.waiting
        WHERE waiting.kind IS NOT NULL AND waiting.queue > parked.queue ORDER BY waiting.queue LIMIT 1)
    FROM parked WHERE parked.queue IS NOT NULL
)
SELECT
    gristmill.now_ms($1::int8),
    (SELECT gristmill.lease_ends(lease_expires_at, lease_ms, $1) FROM gristmill.workers WHERE worker = $2::uuid),
    (SELECT run_at FROM gristmill.waiting
    WHERE state IN (1, 4) AND kind IS NULL AND run_at >= $3::int8 ORDER BY run_at, id LIMIT 1),
    ARRAY(
        SELECT line.queue FROM (SELECT queue FROM found UNION SELECT queue FROM parked) AS line
        WHERE line.queue IS NOT NULL
            AND (SELECT paused_at FROM gristmill.queues WHERE queues.queue = line.queue) IS NULL)
