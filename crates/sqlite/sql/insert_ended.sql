-- Purpose: keeps that a job was cancelled or discarded.
-- Parameters: ?1 seq; ?2 state; ?3 run; ?4 attempt; ?5 crashes; ?6 now (ms); ?7 reason or NULL.
-- Rows: none.
-- Index: the primary key of `ended`.
INSERT INTO ended (seq, state, run, attempt, crashes, finished_at, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
