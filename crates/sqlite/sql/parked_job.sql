-- Purpose: a parked job, as `fetch.sql` gives available ones.
-- Parameters: ?1 seq.
-- Rows: one, with the columns of `fetch.sql`.
-- Index: the primary keys of `waiting` and `jobs`.
SELECT waiting.priority, waiting.run_at, waiting.seq, waiting.run, waiting.attempt, waiting.crashes,
    jobs.id, jobs.kind, jobs.max_attempts, jobs.args,
    jobs.has_options
FROM waiting CROSS JOIN jobs ON jobs.seq = waiting.seq
WHERE waiting.seq = ?1
