-- Purpose: counts finishes that came too late.
-- Parameters: $1 how many.
-- Rows: none.
-- Index: none; a row is appended. A lease that does not hold does not say which queue it was of.
INSERT INTO gristmill.tallies (completed, stale, queue) VALUES (0, $1::int8, 0)
