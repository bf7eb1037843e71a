-- Purpose: makes a worker known, or renews one whose lease holds; it keeps the time it started.
-- Parameters: $1 now for tests (ms) or NULL; $2 worker; $3 label; $4 lease (ms); $5 slots; $6 queues and $7
--   kinds (JSON arrays).
-- Rows: now (ms); none when the worker's lease has ended.
-- Index: the primary key of `workers`. The condition is checked under the lock of the row.
WITH moment AS MATERIALIZED (SELECT gristmill.now_ms($1::int8) AS now)
INSERT INTO gristmill.workers
    (worker, started_at, heartbeat_at, lease_expires_at, lease_ms, slots, label, queues, kinds)
SELECT $2::uuid, now, now, now + $4::int8, $4, $5::int8, $3::text, $6::text, $7::text FROM moment
ON CONFLICT (worker) DO UPDATE SET
    heartbeat_at = excluded.heartbeat_at, lease_expires_at = excluded.lease_expires_at, lease_ms = excluded.lease_ms,
    slots = excluded.slots, label = excluded.label, queues = excluded.queues, kinds = excluded.kinds
WHERE gristmill.lease_ends(workers.lease_expires_at, workers.lease_ms, $1) > excluded.heartbeat_at
RETURNING heartbeat_at
