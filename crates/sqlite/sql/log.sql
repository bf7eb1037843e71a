-- Purpose: the log of a run.
-- Parameters: ?1 seq; ?2 run.
-- Rows: at (ms), text; the newest first.
-- Index: the primary key of `logs`.
SELECT at, text FROM logs WHERE seq = ?1 AND run = ?2 ORDER BY line DESC
