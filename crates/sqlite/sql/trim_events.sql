-- Purpose: keeps only the newest events of a job.
-- Parameters: ?1 seq; ?2 how many are kept.
-- Rows: none.
-- Index: events_job.
DELETE FROM events
WHERE seq = ?1
  AND event <= (SELECT event FROM events WHERE seq = ?1 ORDER BY event DESC LIMIT 1 OFFSET ?2)
