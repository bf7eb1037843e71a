-- Purpose: makes a new job available.
-- Parameters: ?1 queue; ?2 priority; ?3 due (ms); ?4 seq.
-- Rows: none.
-- Index: the primary key of `ready`.
INSERT INTO ready (queue, priority, run_at, seq, run, attempt, crashes) VALUES (?1, ?2, ?3, ?4, 0, 0, 0)
