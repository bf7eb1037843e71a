-- Purpose: the next claim whose worker is not known; the claims of one fetch come one after the other.
-- Parameters: only claims behind these, or NULL for all: $1 worker, $2 number, $3 queue.
-- Rows: nonce, worker, number, queue; none when there is no such claim.
-- Index: the primary key of `workers`, and the unique index of `claims` between each two workers that are
--   known: what they hold, and the dead entries of what they held, is stepped over at once. A claim is made
--   after its worker, so a statement that sees the one without the other sees a worker that is gone. Not a
--   lock: those of the claim's jobs come before the claim's.
WITH known AS MATERIALIZED (SELECT worker, lead(worker) OVER (ORDER BY worker) AS next FROM gristmill.workers),
gap AS MATERIALIZED (
    SELECT worker AS after, coalesce(next, 'ffffffff-ffff-ffff-ffff-ffffffffffff') AS before FROM known
    UNION ALL
    SELECT '00000000-0000-0000-0000-000000000000', coalesce(
        (SELECT worker FROM known ORDER BY worker LIMIT 1), 'ffffffff-ffff-ffff-ffff-ffffffffffff')
)
SELECT orphan.nonce, orphan.worker, orphan.number, orphan.queue
FROM gap CROSS JOIN LATERAL (
    SELECT claims.nonce, claims.worker, claims.number, claims.queue FROM gristmill.claims
    WHERE claims.worker > gap.after AND claims.worker < gap.before
        AND (claims.worker, claims.number, claims.queue) > (coalesce($1::uuid, '00000000-0000-0000-0000-000000000000'),
            coalesce($2::int8, -9223372036854775808), coalesce($3::int4, -1))
    ORDER BY claims.worker, claims.number, claims.queue LIMIT 1
) AS orphan
ORDER BY orphan.worker, orphan.number, orphan.queue LIMIT 1
