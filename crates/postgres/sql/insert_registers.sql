-- Purpose: makes registers, each unless it is there.
-- Parameters: $1 spaces; $2 keys; both ascending; $3 stamps; $4 values; $5 due (ms); $6 forgotten at (ms).
-- Rows: one a register that was made: 1.
-- Index: the primary key of `registers`, which decides whether one is there.
INSERT INTO gristmill.registers (space, key, stamp, value, due, forget_at)
SELECT new.space, new.key, new.stamp, new.value, new.due, new.forget_at
FROM unnest($1::text[], $2::bytea[], $3::int8[], $4::text[], $5::int8[], $6::int8[])
    AS new (space, key, stamp, value, due, forget_at)
ON CONFLICT DO NOTHING RETURNING 1
