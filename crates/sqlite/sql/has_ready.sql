-- Purpose: whether a queue has an available job.
-- Parameters: ?1 queue or NULL; ?2 the first and ?3 the last priority.
-- Rows: one: 1 or 0.
-- Index: the primary key of `ready`, then that of `jobs`: a row whose job is gone is none that a fetch can
--   take.
SELECT EXISTS (
    SELECT 1 FROM ready CROSS JOIN jobs ON jobs.seq = ready.seq WHERE ready.queue = ?1 AND ready.priority BETWEEN ?2 AND ?3
)
