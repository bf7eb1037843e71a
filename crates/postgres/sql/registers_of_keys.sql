-- Purpose: some registers of a space.
-- Parameters: $1 space; $2 keys, each once; $3 the instant that replaces the clock (ms), or NULL.
-- Rows: key, stamp, value, due (ms), forgotten at (ms); in no order, without forgotten ones.
-- Index: the primary key of `registers`, once a key.
SELECT found.key, found.stamp, found.value, found.due, found.forget_at
FROM unnest($2::bytea[]) AS wanted (key)
CROSS JOIN LATERAL (
    SELECT key, stamp, value, due, forget_at FROM gristmill.registers
    WHERE registers.space = $1 AND registers.key = wanted.key
        AND (forget_at IS NULL OR forget_at > gristmill.now_ms($3::int8))
    LIMIT 1
) AS found
