-- Purpose: keeps what a running attempt recorded; what is NULL leaves what was there.
-- Parameters: $1 id; $2 run; $3 progress; $4 checkpoint.
-- Rows: none.
-- Index: the primary key of `records`. The caller holds the lock of the claim.
INSERT INTO gristmill.records (id, run, progress, checkpoint) VALUES ($1::uuid, $2::int4, $3::int2, $4::bytea)
ON CONFLICT (id, run) DO UPDATE SET
    progress = coalesce(excluded.progress, records.progress),
    checkpoint = coalesce(excluded.checkpoint, records.checkpoint)
