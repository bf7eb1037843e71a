-- Purpose: deletes registers that were forgotten long enough ago, and says when the next one was forgotten. One that
--   another transaction has locked is left.
-- Parameters: $1 the latest instant at which they were forgotten (ms); $2 limit.
-- Rows: one: how many went; the first instant after $1 at which a register is forgotten (ms), NULL without one.
-- Index: `registers_forget`; the deletion by place, since the rows are locked by then.
WITH gone AS (
    DELETE FROM gristmill.registers WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM gristmill.registers WHERE forget_at <= $1::int8 ORDER BY forget_at LIMIT $2::int8
        FOR UPDATE SKIP LOCKED))
    RETURNING 1
)
SELECT (SELECT count(*) FROM gone), (SELECT min(forget_at) FROM gristmill.registers WHERE forget_at > $1::int8)
