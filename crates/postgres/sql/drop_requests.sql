-- Purpose: removes requests that were applied, in the transaction that applies them.
-- Parameters: $1 requests.
-- Rows: none.
-- Index: the primary key of `requests`.
DELETE FROM gristmill.requests WHERE request = ANY ($1::int8[])
