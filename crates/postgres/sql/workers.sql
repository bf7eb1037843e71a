-- Purpose: every registered worker, with the number of jobs it holds.
-- Parameters: $1 the time (ms), if a test gives it.
-- Rows: worker, label, started_at, heartbeat_at, lease_expires_at (ms), lease_ms, slots, queues, kinds (JSON
--   arrays), running; by the time they started.
-- Index: the unique index of `claims (worker, number, queue)`.
SELECT worker, label, started_at, heartbeat_at, gristmill.lease_ends(lease_expires_at, lease_ms, $1::int8), lease_ms,
    slots, queues, kinds,
    (SELECT coalesce(sum(claims.open), 0)::int8 FROM gristmill.claims WHERE claims.worker = workers.worker)
FROM gristmill.workers
ORDER BY started_at, worker
