-- Purpose: locks registers, one after the other, and reads them, forgotten ones included.
-- Parameters: $1 spaces; $2 keys; both in the order of locks, ascending.
-- Rows: place from 1, stamp, value, due (ms), forgotten at (ms); none for one that is not there.
-- Index: the primary key of `registers`, once a register.
SELECT wanted.place, found.stamp, found.value, found.due, found.forget_at
FROM unnest($1::text[], $2::bytea[]) WITH ORDINALITY AS wanted (space, key, place)
CROSS JOIN LATERAL (
    SELECT stamp, value, due, forget_at FROM gristmill.registers
    WHERE registers.space = wanted.space AND registers.key = wanted.key FOR NO KEY UPDATE
) AS found
