-- Purpose: how long the tables were locked by a drop, if it was the longest one.
-- Parameters: $1 the step; $2 how long (ms).
-- Rows: none.
-- Index: the primary key of `steps`.
UPDATE gristmill.steps SET longest_ms = greatest(longest_ms, $2::int8) WHERE step = $1::text
