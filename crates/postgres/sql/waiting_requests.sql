-- Purpose: the requests that wait to be applied: their number, the first of them, and whether a worker is
--   alive that applies them.
-- Parameters: $1 now, NULL for the store's clock (ms).
-- Rows: one: how many; the number of the first, NULL where there is none; whether a worker is alive.
-- Index: `requests_open`, whose condition is repeated literally.
SELECT count(*), min(request), EXISTS (
    SELECT FROM gristmill.workers
    WHERE gristmill.lease_ends(lease_expires_at, lease_ms, $1::int8) > gristmill.now_ms($1::int8)
)
FROM gristmill.requests WHERE fault IS NULL
