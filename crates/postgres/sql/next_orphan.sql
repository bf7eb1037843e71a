-- Purpose: the next claim whose worker is not known; the claims of one fetch come one after the other.
-- Parameters: only claims behind these, or NULL for all: $1 worker, $2 number, $3 queue.
-- Rows: nonce, worker, number, queue; none when there is no such claim.
-- Index: the unique index of `claims` and the primary key of `workers`. A claim is made after its worker, so a statement
--   that sees the one without the other sees a worker that is gone. Not a lock: those of the claim's jobs come before the
--   claim's.
SELECT nonce, worker, number, queue FROM gristmill.claims
WHERE (worker, number, queue) > (coalesce($1::uuid, '00000000-0000-0000-0000-000000000000'),
        coalesce($2::int8, -9223372036854775808), coalesce($3::int4, -1))
    AND NOT EXISTS (SELECT FROM gristmill.workers WHERE workers.worker = claims.worker)
ORDER BY worker, number, queue LIMIT 1
