-- Purpose: every registered worker, with the number of jobs it holds.
-- Parameters: none.
-- Rows: worker, label, started_at, heartbeat_at, lease_expires_at (ms), lease_ms, slots, queues, kinds (JSON
--   arrays), running; by the time they started.
-- Index: the unique (worker, number) of `claims`.
SELECT worker, label, started_at, heartbeat_at, lease_expires_at, lease_ms, slots, queues, kinds,
    (SELECT coalesce(sum(claims.open), 0) FROM claims WHERE claims.worker = workers.worker)
FROM workers
ORDER BY started_at, worker
