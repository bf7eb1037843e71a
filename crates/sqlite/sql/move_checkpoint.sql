-- Purpose: the latest checkpoint left under a job's old seq goes to a run of its new one.
-- Parameters: ?1 old seq; ?2 new seq; ?3 run.
-- Rows: none.
-- Index: the primary key of `records`.
UPDATE OR REPLACE records SET seq = ?2, run = ?3
WHERE seq = ?1
  AND run = (SELECT run FROM records WHERE seq = ?1 AND checkpoint IS NOT NULL ORDER BY run DESC LIMIT 1)
