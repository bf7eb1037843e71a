-- Purpose: locks claims, so that no run of them ends until the transaction does.
-- Parameters: $1 nonces.
-- Rows: nonce; the claims that are there.
-- Index: the primary key of `claims`, in the order of the nonces.
SELECT nonce FROM gristmill.claims WHERE nonce = ANY ($1::uuid[]) ORDER BY nonce FOR UPDATE
