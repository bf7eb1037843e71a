-- Purpose: the registers of a space with keys in a range, by key, the last one first.
-- Parameters: 1 space, 2 first key, 3 the key after the last, 4 now (ms), 5 limit.
-- Rows: key, stamp, value, due (ms), forgotten at (ms).
SELECT key, stamp, value, due, forget_at FROM registers
WHERE space = ?1 AND key >= ?2 AND key < ?3 AND (forget_at IS NULL OR forget_at > ?4)
ORDER BY key DESC LIMIT ?5
