-- Purpose: the registers of a space that are due in a range, by due time and key, the last one first.
-- Parameters: $1 space; $2 first due time (ms) and $3 its first key; $4 due time after the last (ms) and $5 its key;
--   $6 the instant that replaces the clock (ms), or NULL; $7 limit.
-- Rows: key, stamp, value, due (ms), forgotten at (ms); without forgotten ones.
-- Index: `registers_due`.
SELECT key, stamp, value, due, forget_at FROM gristmill.registers
WHERE space = $1 AND due IS NOT NULL AND (due, key) >= ($2::int8, $3::bytea) AND (due, key) < ($4::int8, $5::bytea)
    AND (forget_at IS NULL OR forget_at > gristmill.now_ms($6::int8))
ORDER BY due DESC, key DESC LIMIT $7::int8
