-- Purpose: begins to note what changes in a partition that is to be dropped.
-- Parameters: $1 when it begins (ms).
-- Rows: what became of it, in a word.
-- Index: none.
SELECT gristmill.watch_partition($1::int8)
