-- Purpose: the ids of jobs that were cancelled or discarded.
-- Parameters: ?1 limit; ?2 state.
-- Rows: id.
-- Index: ended_state; the primary key of `jobs`.
SELECT jobs.id FROM ended CROSS JOIN jobs ON jobs.seq = ended.seq WHERE ended.state = ?2 LIMIT ?1
