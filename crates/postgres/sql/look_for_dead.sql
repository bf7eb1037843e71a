-- Purpose: whether there is anything to rescue.
-- Parameters: $1 now, NULL for the store's clock (ms).
-- Rows: one: when the first lease ends (ms), NULL without a worker; whether one has ended, or a claim has a
--   worker that is not known.
-- Index: as `next_orphan`. Of `workers` all is read: there are few.
WITH known AS MATERIALIZED (
    SELECT worker, lead(worker) OVER (ORDER BY worker) AS next,
        gristmill.lease_ends(lease_expires_at, lease_ms, $1::int8) AS ends
    FROM gristmill.workers
),
gap AS MATERIALIZED (
    SELECT worker AS after, coalesce(next, 'ffffffff-ffff-ffff-ffff-ffffffffffff') AS before FROM known
    UNION ALL
    SELECT '00000000-0000-0000-0000-000000000000', coalesce(
        (SELECT worker FROM known ORDER BY worker LIMIT 1), 'ffffffff-ffff-ffff-ffff-ffffffffffff')
)
SELECT (SELECT min(ends) FROM known),
    EXISTS (SELECT FROM known WHERE ends <= gristmill.now_ms($1)) OR EXISTS (
        SELECT FROM gap CROSS JOIN LATERAL (
            SELECT FROM gristmill.claims WHERE claims.worker > gap.after AND claims.worker < gap.before LIMIT 1
        ) AS orphan
    )
