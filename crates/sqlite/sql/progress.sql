-- Purpose: how far the latest attempt that said so is.
-- Parameters: ?1 seq.
-- Rows: at most one: progress (per cent).
-- Index: the primary key of `records`.
SELECT progress FROM records WHERE seq = ?1 AND progress IS NOT NULL ORDER BY run DESC LIMIT 1
