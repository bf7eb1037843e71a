-- Purpose: appends a run that ended without reason, error or output.
-- Parameters: ?1 seq; ?2 run; ?3 attempt; ?4 ending; ?5 state; ?6 token; ?7 ended_by; ?8 worker; ?9 fetched, ?10 started
--   (or NULL) and ?11 finished (ms).
-- Rows: none; nothing changes when the run has ended before.
-- Index: the primary key of `runs`, the arbiter.
INSERT INTO runs (seq, run, attempt, ending, state, token, ended_by, worker, fetched_at, started_at, finished_at)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)
ON CONFLICT DO NOTHING
