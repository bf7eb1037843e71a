-- Purpose: the registers of a space that are due in a range, by due time and key.
-- Parameters: 1 space, 2 first due time (ms), 3 its first key, 4 the due time after the last (ms), 5 its key, 6 now
-- (ms), 7 limit.
-- Rows: key, stamp, value, due (ms), forgotten at (ms).
SELECT key, stamp, value, due, forget_at FROM registers
WHERE space = ?1 AND due IS NOT NULL AND (due, key) >= (?2, ?3) AND (due, key) < (?4, ?5)
    AND (forget_at IS NULL OR forget_at > ?6)
ORDER BY due, key LIMIT ?7
