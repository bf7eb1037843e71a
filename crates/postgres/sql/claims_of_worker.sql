-- Purpose: the claims of a worker.
-- Parameters: $1 worker.
-- Rows: nonce, number, whether a cancel of a run of it may have been asked for; by number.
-- Index: the unique index of `claims (worker, number, queue)`.
SELECT nonce, number, cancels IS NOT NULL FROM gristmill.claims WHERE worker = $1::uuid ORDER BY number, queue
