-- Purpose: some registers of a space.
-- Parameters: $1 space; $2 keys; $3 the instant that replaces the clock (ms), or NULL.
-- Rows: key, stamp, value, due (ms), forgotten at (ms); in no order, without forgotten ones.
-- Index: the primary key of `registers`.
SELECT key, stamp, value, due, forget_at FROM gristmill.registers
WHERE space = $1 AND key = ANY ($2::bytea[])
    AND (forget_at IS NULL OR forget_at > gristmill.now_ms($3::int8))
