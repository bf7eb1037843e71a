-- Purpose: when the next waiting job is due.
-- Parameters: $1 now, NULL for the store's clock (ms).
-- Rows: now (ms); when the next is due (ms), NULL if none is.
-- Index: `waiting_due`.
SELECT gristmill.now_ms($1::int8),
    (SELECT run_at FROM gristmill.waiting WHERE state IN (1, 4) ORDER BY run_at, id LIMIT 1)
