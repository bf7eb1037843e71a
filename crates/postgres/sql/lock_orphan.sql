-- Purpose: locks a claim whose worker is not known, so that this rescue alone ends its runs.
-- Parameters: $1 nonce; $2 now, NULL for the store's clock (ms).
-- Rows: now (ms); none when the claim is gone, or when another transaction is ending its runs.
-- Index: the primary keys of `claims` and `workers`. It never waits for a lock, so the clock is read while
--   the lock is held, never before.
SELECT gristmill.now_ms($2::int8) FROM gristmill.claims
WHERE nonce = $1::uuid
    AND (SELECT count(*) FROM gristmill.workers WHERE workers.worker = claims.worker) = 0
FOR UPDATE OF claims SKIP LOCKED
