-- Purpose: when the steps of maintenance last succeeded.
-- Parameters: none.
-- Rows: step; how long ago it last succeeded and last failed (ms), NULL for never; why it failed, NULL since
--   it succeeded again; how long the longest drop locked the tables (ms), NULL without one; whether a worker
--   is registered. By name.
-- Index: none; there are few steps.
SELECT step, gristmill.now_ms(NULL) - succeeded_at, gristmill.now_ms(NULL) - failed_at, error, longest_ms,
    EXISTS (SELECT FROM gristmill.workers)
FROM gristmill.steps ORDER BY step
