-- Purpose: what old runs of a job recorded goes, but for its latest checkpoint.
-- Parameters: ?1 seq; ?2 first and ?3 last run.
-- Rows: none.
-- Index: the primary key of `records`.
DELETE FROM records
WHERE seq = ?1 AND run BETWEEN ?2 AND ?3
  AND run IS NOT (SELECT run FROM records WHERE seq = ?1 AND checkpoint IS NOT NULL ORDER BY run DESC LIMIT 1)
