-- Purpose: the registers of a space with keys in a range, by key, the last one first.
-- Parameters: $1 space; $2 first key; $3 the key after the last; $4 the instant that replaces the clock (ms), or NULL;
--   $5 limit.
-- Rows: key, stamp, value, due (ms), forgotten at (ms); without forgotten ones.
-- Index: the primary key of `registers`.
SELECT key, stamp, value, due, forget_at FROM gristmill.registers
WHERE space = $1 AND key >= $2::bytea AND key < $3::bytea
    AND (forget_at IS NULL OR forget_at > gristmill.now_ms($4::int8))
ORDER BY key DESC LIMIT $5::int8
