-- Purpose: appends a run that ended.
-- Parameters: ?1 run_key; ?2 attempt; ?3 started (ms, or NULL); ?4 ending; ?5 state; ?6 token; ?7 ended_by;
--   ?8 worker; ?9 fetched and ?10 finished (ms); each or NULL: ?11 reason; ?12 error; ?13 backtrace; ?14
--   output.
-- Rows: none; nothing changes when the run has ended before.
-- Index: the primary key of `runs`, the arbiter.
INSERT INTO runs (
    run_key, attempt, started_at, ending, state, token, ended_by, worker, fetched_at, finished_at,
    reason, error, backtrace, output
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
ON CONFLICT DO NOTHING
