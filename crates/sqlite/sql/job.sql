-- Purpose: jobs with all that tells their state; a condition on `jobs` and an order are added where it is
--   used.
-- Parameters: those of the condition.
-- Rows: seq, id, queue, queue's name, kind, priority, run_at (ms), created_at (ms), max_attempts, unique_key,
--   timeout_ms, retry, retention, tags, metadata, args; state, run, attempt, crashes, finished_at (ms),
--   reason; of the latest ended run, or NULL: run, worker, fetched_at (ms), ending; whether it has ended
--   otherwise than completed, whether it is parked; the codec of the args.
--   A queue that has no row has no name.
--   A job that is in no other place is taken to be running: its claim is looked up by the caller.
-- Index: the primary keys of all tables; the key of `ready` is taken from the row of `jobs`.
SELECT jobs.seq, jobs.id, jobs.queue, queues.name, jobs.kind, jobs.priority, jobs.run_at, jobs.created_at,
    jobs.max_attempts, jobs.unique_key, jobs.timeout_ms, jobs.retry, jobs.retention, jobs.tags, jobs.metadata,
    jobs.args,
    CASE
        WHEN ready.seq IS NOT NULL THEN 2
        WHEN waiting.seq IS NOT NULL THEN waiting.state
        WHEN ended.seq IS NOT NULL THEN ended.state
        WHEN latest.state = 5 AND latest.run_key & 4194303 > jobs.retried_run THEN 5
        ELSE 3
    END,
    coalesce(ready.run, waiting.run, ended.run, latest.run_key & 4194303, 0),
    coalesce(ready.attempt, waiting.attempt, ended.attempt, latest.attempt, 0),
    coalesce(ready.crashes, waiting.crashes, ended.crashes, 0),
    coalesce(ended.finished_at, latest.finished_at),
    CASE
        WHEN ready.seq IS NOT NULL THEN ready.reason
        WHEN waiting.seq IS NOT NULL THEN waiting.reason
        WHEN ended.seq IS NOT NULL THEN ended.reason
        ELSE latest.reason
    END,
    latest.run_key & 4194303, latest.worker, latest.fetched_at, latest.ending,
    ended.seq IS NOT NULL, waiting.kind IS NOT NULL, jobs.encoding
FROM jobs
    LEFT JOIN queues ON queues.queue = jobs.queue
    LEFT JOIN ready ON ready.queue = jobs.queue AND ready.priority = jobs.priority
        AND ready.run_at = jobs.run_at AND ready.seq = jobs.seq
    LEFT JOIN waiting ON waiting.seq = jobs.seq
    LEFT JOIN ended ON ended.seq = jobs.seq
    LEFT JOIN runs AS latest ON latest.run_key = (
        SELECT max(run_key) FROM runs WHERE run_key BETWEEN jobs.seq << 22 AND (jobs.seq << 22) + 4194303
    )
