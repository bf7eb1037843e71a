-- Purpose: what a job is to do.
-- Parameters: ?1 seq.
-- Rows: at most one: kind, max_attempts, unique_key, timeout_ms, retry, retention, tags, metadata, args.
-- Index: the primary key of `jobs`.
SELECT kind, max_attempts, unique_key, timeout_ms, retry, retention, tags, metadata, args FROM jobs WHERE seq = ?1
