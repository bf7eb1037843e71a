-- Purpose: writes a register.
-- Parameters: 1 space, 2 key, 3 stamp, 4 value, 5 due (ms), 6 forgotten at (ms).
-- Rows: none.
INSERT INTO registers (space, key, stamp, value, due, forget_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
ON CONFLICT (space, key) DO UPDATE SET
    stamp = excluded.stamp, value = excluded.value, due = excluded.due, forget_at = excluded.forget_at
