-- Purpose: makes a partition of `logs` for a span of time in which no job is made, and asks for its rotation,
--   to see whether both work. Where DEFAULT is large it is left alone: it would be locked while it is read.
-- Parameters: $1 from, $2 to (ms).
-- Rows: one: what became of either, in a word.
-- Index: none. The transaction is rolled back.
SELECT CASE WHEN pg_relation_size((SELECT typrelid FROM pg_type WHERE oid = pg_typeof(NULL::gristmill.logs_default))) < 16777216
    THEN gristmill.make_partition('logs', $1::int8, $2::int8, 0) ELSE 'large' END,
    (gristmill.drop_partition($1, 0)).outcome
