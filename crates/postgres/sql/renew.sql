-- Purpose: renews a worker's leases, if they hold.
-- Parameters: $1 now for tests (ms) or NULL; $2 worker.
-- Rows: now (ms), lease (ms), the worker's queues that are paused, in its order, which store this is (see `life.sql`); none
--   when the worker is unknown or its lease has ended.
-- Index: the primary key of `workers`, the unique index of `queues (name)`. No indexed column changes, so the row stays on
--   its page; the condition is checked again under its lock. The JSON of its queues is not parsed: one that does not decode
--   must not end the worker.
WITH moment AS MATERIALIZED (SELECT gristmill.now_ms($1::int8) AS now)
UPDATE gristmill.workers SET heartbeat_at = moment.now, lease_expires_at = moment.now + least(workers.lease_ms, 253402207200000)
FROM moment
WHERE workers.worker = $2::uuid
    AND gristmill.lease_ends(workers.lease_expires_at, workers.lease_ms, $1) > moment.now
RETURNING moment.now, workers.lease_ms, ARRAY(
    SELECT known.name
    FROM regexp_matches(workers.queues, '"([-A-Za-z0-9._:/]+)"', 'g') WITH ORDINALITY AS wanted (names, place)
        JOIN gristmill.queues AS known ON known.name = wanted.names[1]
    WHERE known.paused_at IS NOT NULL ORDER BY wanted.place
), (SELECT concat_ws(' ', identity, tableoid, xmin) FROM gristmill.store)
