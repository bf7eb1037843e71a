-- Purpose: a worker whose lease holds.
-- Parameters: ?1 worker; ?2 now (ms).
-- Rows: at most one: lease_ms, lease_expires_at (ms).
-- Index: the primary key of `workers`.
SELECT lease_ms, lease_expires_at FROM workers WHERE worker = ?1 AND lease_expires_at > ?2
