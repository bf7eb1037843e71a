-- Purpose: ended runs in the order of their jobs' ids, which is about the order in which they were made.
-- Parameters: $1 the id and $2 the run to begin behind; $3 only ids before this one; $4 at most this many.
-- Rows: id, run, state, finished_at (ms).
-- Index: the primary key of `attempts`, of the partitions the ids lie in.
SELECT id, run, state, finished_at FROM gristmill.attempts
WHERE id >= $1::uuid AND id < $3::uuid AND (id, run) > ($1, $2::int4)
ORDER BY id, run LIMIT $4::int8
