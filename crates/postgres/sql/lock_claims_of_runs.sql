-- Purpose: locks claims, so that no run of them ends until the transaction does.
-- Parameters: $1 nonces; $2 ids of jobs that are about to disappear: the claims that list them are locked,
--   too.
-- Rows: nonce; the claims that are there.
-- Index: the primary key of `claims`, in the order of the nonces; all of `claims` for $2, where there is one.
SELECT nonce FROM gristmill.claims
WHERE nonce = ANY (ARRAY(
    SELECT unnest($1::uuid[])
    UNION ALL
    SELECT unnest(gristmill.claims_listing($2::uuid[]))))
ORDER BY nonce FOR UPDATE
