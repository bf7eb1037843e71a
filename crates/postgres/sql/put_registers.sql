-- Purpose: writes registers that this transaction has locked.
-- Parameters: $1 spaces; $2 keys; both ascending; $3 stamps; $4 values; $5 due (ms); $6 forgotten at (ms).
-- Rows: none.
-- Index: the primary key of `registers`.
INSERT INTO gristmill.registers AS registers (space, key, stamp, value, due, forget_at)
SELECT new.space, new.key, new.stamp, new.value, new.due, new.forget_at
FROM unnest($1::text[], $2::bytea[], $3::int8[], $4::text[], $5::int8[], $6::int8[])
    AS new (space, key, stamp, value, due, forget_at)
ON CONFLICT (space, key) DO UPDATE SET
    stamp = excluded.stamp, value = excluded.value, due = excluded.due, forget_at = excluded.forget_at
