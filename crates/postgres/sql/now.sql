-- Purpose: the instant of a transaction, by the store's clock or the test's.
-- Parameters: $1 the instant that replaces the clock (ms), or NULL.
-- Rows: now (ms).
-- Index: none.
SELECT gristmill.now_ms($1::int8)
