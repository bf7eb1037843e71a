-- Purpose: the next kind, in the order of names, that has parked jobs in a queue.
-- Parameters: ?1 queue; ?2 the kind before.
-- Rows: at most one: kind.
-- Index: waiting_parked, one entry.
SELECT kind FROM waiting WHERE queue = ?1 AND kind > ?2 ORDER BY kind LIMIT 1
