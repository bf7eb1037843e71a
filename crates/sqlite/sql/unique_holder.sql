-- Purpose: who holds a unique key.
-- Parameters: ?1 queue; ?2 key.
-- Rows: at most one: seq, id.
-- Index: the primary keys of `uniques` and `jobs`.
SELECT uniques.seq, jobs.id FROM uniques JOIN jobs ON jobs.seq = uniques.seq
WHERE uniques.queue = ?1 AND uniques.key = ?2
