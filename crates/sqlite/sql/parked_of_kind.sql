-- Purpose: the first parked jobs of a queue and kind.
-- Parameters: ?1 queue; ?2 kind; ?3 first and ?4 last priority; ?5 limit.
-- Rows: priority, run_at (ms), seq; in the order of fetching.
-- Index: waiting_parked, whose order it is.
SELECT priority, run_at, seq FROM waiting
WHERE queue = ?1 AND kind = ?2 AND priority BETWEEN ?3 AND ?4
ORDER BY priority, run_at, seq LIMIT ?5
