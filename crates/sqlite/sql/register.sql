-- Purpose: a register, forgotten or not.
-- Parameters: 1 space, 2 key.
-- Rows: at most one: stamp, value, due (ms), forgotten at (ms).
SELECT stamp, value, due, forget_at FROM registers WHERE space = ?1 AND key = ?2
