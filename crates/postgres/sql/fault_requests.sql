-- Purpose: sets requests aside that do not decode, or that fail again and again.
-- Parameters: $1 requests; $2 what is wrong with each.
-- Rows: none.
-- Index: the primary key of `requests`.
UPDATE gristmill.requests SET fault = item.fault
FROM unnest($1::int8[], $2::text[]) AS item (request, fault)
WHERE requests.request = item.request AND requests.request = ANY ($1)
