-- Purpose: a claim, to see whether a lease holds.
-- Parameters: ?1 claim.
-- Rows: at most one: worker, number, nonce, fetched_at (ms), open, pruned, members; the blob is last, since
--   it is read only when the writer does not remember the claim.
-- Index: the primary key of `claims`.
SELECT worker, number, nonce, fetched_at, open, pruned, members FROM claims WHERE claim = ?1
