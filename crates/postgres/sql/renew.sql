-- Purpose: renews a worker's leases, if they hold, and reads its claims.
-- Parameters: $1 now for tests (ms) or NULL; $2 worker; which claims are read: $3 those with a larger number
--   than this, and $4 those of these numbers, none of which is larger.
-- Rows: now (ms), lease (ms), the worker's queues that are paused, in its order, which store this is (see
--   `life.sql`), the schema version of the oldest program that may run; then of a claim its nonce, its number
--   and whether a cancel of a run of it may have been asked for; one a claim, by number, and one without a
--   claim where there is none. None at all when the worker is unknown or its lease has ended.
-- Index: the primary key of `workers`; `queues_paused`, and only if a queue is paused the unique index of
--   `queues (name)`; the unique index of `claims (worker, number, queue)`, number by number: a worker's other
--   claims are gone, and their dead entries stay as long as an old snapshot does. No indexed column changes,
--   so the worker's row stays on its page; the condition is checked again under its lock. The JSON of its
--   queues is not parsed: one that does not decode must not end the worker.
WITH moment AS MATERIALIZED (SELECT gristmill.now_ms($1::int8) AS now),
renewed AS (
    UPDATE gristmill.workers SET heartbeat_at = moment.now, lease_expires_at = moment.now + least(workers.lease_ms, 253402207200000)
    FROM moment
    WHERE workers.worker = $2::uuid
        AND gristmill.lease_ends(workers.lease_expires_at, workers.lease_ms, $1) > moment.now
    RETURNING moment.now, workers.lease_ms, CASE
        WHEN EXISTS (SELECT FROM gristmill.queues WHERE paused_at IS NOT NULL) THEN ARRAY(
            SELECT known.name
            FROM regexp_matches(workers.queues, '"([-A-Za-z0-9._:/]+)"', 'g') WITH ORDINALITY AS wanted (names, place)
                JOIN gristmill.queues AS known ON known.name = wanted.names[1]
            WHERE known.paused_at IS NOT NULL ORDER BY wanted.place)
        ELSE '{}'
    END AS paused, (SELECT concat_ws(' ', identity, tableoid, xmin) FROM gristmill.store) AS life,
    (SELECT versions.compatible_from FROM gristmill.versions) AS compatible_from
),
claim AS MATERIALIZED (
    SELECT nonce, number, cancels IS NOT NULL AS may_be_cancelled
    FROM gristmill.claims WHERE worker = $2 AND number > $3::int8
    UNION ALL
    SELECT exact.* FROM unnest($4::int8[]) AS listed (number) CROSS JOIN LATERAL (
        SELECT claims.nonce, claims.number, claims.cancels IS NOT NULL
        FROM gristmill.claims WHERE claims.worker = $2 AND claims.number = listed.number OFFSET 0
    ) AS exact
)
SELECT renewed.now, renewed.lease_ms, renewed.paused, renewed.life, renewed.compatible_from, claim.nonce, claim.number, claim.may_be_cancelled
FROM renewed LEFT JOIN claim ON true ORDER BY claim.number
