-- Purpose: makes a partition of one of the four tables.
-- Parameters: $1 the table; $2 from, $3 to (ms); $4 how many rows of DEFAULT may be moved.
-- Rows: what became of it, in a word.
-- Index: none. A transaction a table, so that no two of their locks are held at a time.
SELECT gristmill.make_partition($1::text, $2::int8, $3::int8, $4::int8)
