-- Purpose: when the next waiting job is due.
-- Parameters: none.
-- Rows: one: run_at (ms) or NULL.
-- Index: waiting_due, its first entry; by name, since the planner might take waiting_state. The states are
--   literals, since a partial index is not used with parameters.
SELECT min(run_at) FROM waiting INDEXED BY waiting_due WHERE state IN (1, 4) AND kind IS NULL
