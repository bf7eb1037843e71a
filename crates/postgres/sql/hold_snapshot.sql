-- Purpose: takes the snapshot of a transaction that holds it.
-- Parameters: none.
-- Rows: none.
-- Index: none.
-- Isolation: REPEATABLE READ; in any other the snapshot ends with the statement.
SELECT 1 FROM gristmill.ready LIMIT 0
