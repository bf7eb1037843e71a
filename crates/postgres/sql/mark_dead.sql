-- Purpose: workers whose lease has ended are no longer known; nothing revives them.
-- Parameters: $1 now, NULL for the store's clock (ms).
-- Rows: none.
-- Index: none; there are few workers. A renewal that commits meanwhile is seen: the condition is checked
--   again under the row's lock. A worker with a fetch at its end is left to the next rescue, see
--   `keep_worker` of the schema.
DELETE FROM gristmill.workers WHERE worker = ANY (ARRAY(
    SELECT workers.worker FROM gristmill.workers
    WHERE CASE WHEN gristmill.lease_ends(lease_expires_at, lease_ms, $1::int8) <= gristmill.now_ms($1)
        THEN pg_try_advisory_xact_lock(gristmill.worker_lock(workers.worker)) END
    FOR UPDATE SKIP LOCKED))
