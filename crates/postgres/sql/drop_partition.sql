-- Purpose: drops a partition whose jobs are past the default retention.
-- Parameters: $1 when it begins (ms); $2 how many jobs may stay.
-- Rows: what became of it, in a word; how many jobs went, how many stay, how long the tables were locked
--   (ms), or NULL.
-- Index: none. Reads the partition once before it takes a lock.
SELECT outcome, dropped, stayed, locked_ms FROM gristmill.drop_partition($1::int8, $2::int8)
