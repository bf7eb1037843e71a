-- Purpose: how a job waits.
-- Parameters: ?1 seq.
-- Rows: at most one: state, run, attempt, crashes.
-- Index: the primary key of `waiting`.
SELECT state, run, attempt, crashes FROM waiting WHERE seq = ?1
