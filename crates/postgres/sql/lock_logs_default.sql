-- Purpose: locks the DEFAULT partition of `logs`, or fails at once where another transaction uses it.
-- Parameters: none.
-- Rows: none.
-- Index: none. Whoever waited for this lock would keep all behind it waiting.
LOCK TABLE gristmill.logs_default IN ACCESS EXCLUSIVE MODE NOWAIT
