-- Purpose: keeps a fetched batch.
-- Parameters: ?1 worker; ?2 the worker's number of the fetch; ?3 nonce; ?4 now (ms); ?5 how many members; ?6
--   members.
-- Rows: none.
-- Index: none.
INSERT INTO claims (worker, number, nonce, fetched_at, open, pruned, members) VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6)
