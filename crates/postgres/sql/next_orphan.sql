-- Purpose: the next claim whose worker is not known.
-- Parameters: $1 only claims behind this nonce, NULL for all.
-- Rows: nonce; none when there is no such claim.
-- Index: the primary keys of `claims` and `workers`. A claim is made after its worker, so a statement that sees the one
--   without the other sees a worker that is gone. Not a lock: those of the claim's jobs come before the claim's.
SELECT nonce FROM gristmill.claims
WHERE nonce > coalesce($1::uuid, '00000000-0000-0000-0000-000000000000')
    AND NOT EXISTS (SELECT FROM gristmill.workers WHERE workers.worker = claims.worker)
ORDER BY nonce LIMIT 1
