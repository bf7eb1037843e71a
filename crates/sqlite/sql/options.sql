-- Purpose: the options of a job.
-- Parameters: ?1 seq.
-- Rows: at most one: max_attempts, unique_key, timeout_ms, retry, retention, tags, metadata, encoding.
-- Index: the primary key of `jobs`.
SELECT max_attempts, unique_key, timeout_ms, retry, retention, tags, metadata, encoding FROM jobs WHERE seq = ?1
