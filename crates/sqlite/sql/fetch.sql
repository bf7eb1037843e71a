-- Purpose: the first available jobs of a queue.
-- Parameters: ?1 queue; ?2 first and ?3 last priority; ?4 limit.
-- Rows: priority, run_at (ms), seq, run, attempt, crashes, id, kind, max_attempts, unique_key, timeout_ms, retry, retention,
--   tags, metadata, args; in the order of fetching.
-- Index: the primary keys of `ready`, whose order it is, and `jobs`. CROSS JOIN keeps `ready` outside, so that the limit
--   ends the scan.
SELECT ready.priority, ready.run_at, ready.seq, ready.run, ready.attempt, ready.crashes,
    jobs.id, jobs.kind, jobs.max_attempts, jobs.unique_key, jobs.timeout_ms, jobs.retry, jobs.retention,
    jobs.tags, jobs.metadata, jobs.args
FROM ready CROSS JOIN jobs ON jobs.seq = ready.seq
WHERE ready.queue = ?1 AND ready.priority BETWEEN ?2 AND ?3
ORDER BY ready.priority, ready.run_at, ready.seq
LIMIT ?4
