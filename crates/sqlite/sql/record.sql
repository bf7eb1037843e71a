-- Purpose: keeps progress and checkpoint of a running attempt.
-- Parameters: ?1 seq; ?2 run; each or NULL to leave it: ?3 progress (per cent); ?4 checkpoint.
-- Rows: none.
-- Index: the primary key of `records`.
INSERT INTO records (seq, run, progress, checkpoint) VALUES (?1, ?2, ?3, ?4)
ON CONFLICT (seq, run) DO UPDATE SET
    progress = coalesce(excluded.progress, progress), checkpoint = coalesce(excluded.checkpoint, checkpoint)
