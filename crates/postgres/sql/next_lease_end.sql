-- Purpose: when the first lease of the living ends.
-- Parameters: $1 now, NULL for the store's clock (ms).
-- Rows: when (ms), NULL without a worker.
-- Index: none; there are few workers.
SELECT min(gristmill.lease_ends(lease_expires_at, lease_ms, $1::int8)) FROM gristmill.workers
