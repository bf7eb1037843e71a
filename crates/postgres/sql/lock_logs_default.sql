-- Purpose: locks the DEFAULT partition of `logs`, or fails at once where another transaction uses it.
-- Parameters: none.
-- Rows: none.
-- Index: none. It does not wait, because every later statement on the table would queue behind it.
LOCK TABLE gristmill.logs_default IN ACCESS EXCLUSIVE MODE NOWAIT
