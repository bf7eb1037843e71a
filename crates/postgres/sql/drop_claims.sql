-- Purpose: claims disappear whose runs have all ended.
-- Parameters: $1 nonces.
-- Rows: none.
-- Index: the primary key of `claims`. The caller holds the locks.
DELETE FROM gristmill.claims WHERE nonce = ANY ($1::uuid[])
