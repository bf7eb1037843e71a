-- Purpose: the first available jobs of a queue.
-- Parameters: ?1 queue; ?2 first and ?3 last priority; ?4 limit.
-- Rows: priority, run_at (ms), seq, run, attempt, crashes, id, kind, max_attempts, args, whether the job has
--   options; in the order of fetching. Few jobs have options, and each column costs every job, so they are
--   read apart.
-- Index: the primary keys of `ready`, whose order it is, and `jobs`. CROSS JOIN keeps `ready` outside, so
--   that the limit ends the scan.
SELECT ready.priority, ready.run_at, ready.seq, ready.run, ready.attempt, ready.crashes,
    jobs.id, jobs.kind, jobs.max_attempts, jobs.args,
    jobs.has_options
FROM ready CROSS JOIN jobs ON jobs.seq = ready.seq
WHERE ready.queue = ?1 AND ready.priority BETWEEN ?2 AND ?3
ORDER BY ready.priority, ready.run_at, ready.seq
LIMIT ?4
