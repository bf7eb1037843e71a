-- Purpose: stores a job without options.
-- Parameters: ?1 seq; ?2 id; ?3 kind; ?4 queue; ?5 priority; ?6 due (ms); ?7 now (ms); ?8 max_attempts; ?9
--   args.
-- Rows: none; nothing changes when the id is there.
-- Index: the primary key and the unique id of `jobs`.
INSERT INTO jobs (seq, id, kind, queue, priority, run_at, created_at, max_attempts, args)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
ON CONFLICT (id) DO NOTHING
