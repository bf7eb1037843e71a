-- Purpose: requests that were set aside, the first ones, and how many there are.
-- Parameters: $1 at most this many.
-- Rows: request, id, verb, fault, how many in all.
-- Index: none; such rows are few, and so are requests that wait.
SELECT request, id, verb, fault, count(*) OVER () FROM gristmill.requests
WHERE fault IS NOT NULL ORDER BY request LIMIT $1::int8
