-- Purpose: the next requests to apply. Read after `lock_requests.sql`, in a statement of its own: an earlier
--   snapshot may show rows that another process has applied.
-- Parameters: $1 behind this number; $2 at most this many.
-- Rows: request, id, verb, patch, actor; in the order of the numbers.
-- Index: `requests_open`, whose condition is repeated literally.
SELECT request, id, verb, patch, actor FROM gristmill.requests
WHERE request > $1::int8 AND fault IS NULL ORDER BY request LIMIT $2::int8
