-- Purpose: makes a worker known, or renews one that is; it keeps the time it started.
-- Parameters: ?1 worker; ?2 label; ?3 now (ms); ?4 end of its leases (ms); ?5 lease (ms); ?6 slots; ?7 queues
--   and ?8 kinds (JSON arrays).
-- Rows: none.
-- Index: the primary key of `workers`.
INSERT INTO workers (worker, label, started_at, heartbeat_at, lease_expires_at, lease_ms, slots, queues, kinds)
VALUES (?1, ?2, ?3, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (worker) DO UPDATE SET
    label = excluded.label, heartbeat_at = excluded.heartbeat_at, lease_expires_at = excluded.lease_expires_at,
    lease_ms = excluded.lease_ms, slots = excluded.slots, queues = excluded.queues, kinds = excluded.kinds
