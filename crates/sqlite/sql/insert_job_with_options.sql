-- Purpose: stores a job with options.
-- Parameters: ?1 seq; ?2 id; ?3 kind; ?4 queue; ?5 priority; ?6 due (ms); ?7 now (ms); ?8 max_attempts; ?9
--   args; each or NULL: ?10 unique_key; ?11 timeout_ms; ?12 retry (JSON); ?13 retention (JSON); ?14 tags
--   (JSON array); ?15 metadata (JSON object); ?16 the codec of the args.
-- Rows: none; nothing changes when the id is there.
-- Index: the primary key and the unique id of `jobs`.
INSERT INTO jobs (
    seq, id, kind, queue, priority, run_at, created_at, max_attempts, args,
    has_options, unique_key, timeout_ms, retry, retention, tags, metadata, encoding
)
VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, 1, ?10, ?11, ?12, ?13, ?14, ?15, ?16)
ON CONFLICT (id) DO NOTHING
