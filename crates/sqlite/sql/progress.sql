-- Purpose: how far a run says it is, or was.
-- Parameters: ?1 seq; ?2 run.
-- Rows: at most one: progress (per cent) or NULL.
-- Index: the primary key of `records`.
SELECT progress FROM records WHERE seq = ?1 AND run = ?2
