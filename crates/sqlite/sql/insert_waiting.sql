-- Purpose: lets a job wait.
-- Parameters: ?1 seq; ?2 state: suspended, scheduled or retryable; ?3 due (ms); ?4 run; ?5 attempt; ?6
--   crashes; ?7 reason or NULL.
-- Rows: none.
-- Index: the primary key of `waiting`.
INSERT INTO waiting (seq, state, run_at, run, attempt, crashes, reason) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
