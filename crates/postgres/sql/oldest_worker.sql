-- Purpose: for how long there has been a worker that is alive now.
-- Parameters: none.
-- Rows: one: how long ago the first of the living started (ms), NULL without one.
-- Index: none; there are few workers.
SELECT max(gristmill.now_ms(NULL) - started_at) FROM gristmill.workers
WHERE gristmill.lease_ends(lease_expires_at, lease_ms, NULL) > gristmill.now_ms(NULL)
