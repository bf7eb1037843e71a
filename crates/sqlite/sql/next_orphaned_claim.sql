-- Purpose: a claim of no known worker.
-- Parameters: none.
-- Rows: at most one: claim.
-- Index: the primary keys of `claims` and `workers`; both have few rows.
SELECT claim FROM claims
WHERE NOT EXISTS (SELECT 1 FROM workers WHERE workers.worker = claims.worker)
ORDER BY claim
LIMIT 1
