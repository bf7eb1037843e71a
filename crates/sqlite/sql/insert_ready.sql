-- Purpose: makes a job available.
-- Parameters: ?1 queue; ?2 priority; ?3 due (ms); ?4 seq; ?5 run; ?6 attempt; ?7 crashes; ?8 reason or NULL.
-- Rows: none.
-- Index: the primary key of `ready`.
INSERT INTO ready (queue, priority, run_at, seq, run, attempt, crashes, reason)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
