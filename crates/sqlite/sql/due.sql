-- Purpose: scheduled and retryable jobs that are due, the longest due first.
-- Parameters: ?1 now (ms); ?2 limit.
-- Rows: seq.
-- Index: waiting_due, whose order it is; by name, since the planner would take waiting_state and sort. The
--   states are literals, since a partial index is not used with parameters.
SELECT seq FROM waiting INDEXED BY waiting_due WHERE state IN (1, 4) AND kind IS NULL AND run_at <= ?1 ORDER BY run_at, seq LIMIT ?2
