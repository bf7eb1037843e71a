-- Purpose: the earliest retention that has passed.
-- Parameters: ?1 now (ms).
-- Rows: at most one: expiry, seqs.
-- Index: expiries_due.
SELECT expiry, seqs FROM expiries WHERE delete_at <= ?1 ORDER BY delete_at LIMIT 1
