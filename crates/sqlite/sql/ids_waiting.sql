-- Purpose: the ids of jobs that wait in a state.
-- Parameters: ?1 limit; ?2 state.
-- Rows: id.
-- Index: waiting_state; the primary key of `jobs`.
SELECT jobs.id FROM waiting CROSS JOIN jobs ON jobs.seq = waiting.seq WHERE waiting.state = ?2 LIMIT ?1
