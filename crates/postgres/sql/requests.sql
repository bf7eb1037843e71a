-- Purpose: the next requests to apply. Read after `lock_requests.sql`, in a statement of its own: an earlier
--   snapshot may show rows that another process has applied.
-- Parameters: $1 after this number; $2 at most this many; $3 no row after those whose patches have so many
--   bytes.
-- Rows: request, id, verb, patch, actor, how many rows there are without $3; in the order of the numbers.
-- Index: `requests_open`, whose condition is repeated literally.
SELECT request, id, verb, patch, actor, found FROM (
    SELECT next.*, count(*) OVER () AS found,
        sum(next.bytes) OVER (ORDER BY next.request) - next.bytes AS bytes_before
    FROM (
        SELECT request, id, verb, patch, actor, coalesce(octet_length(patch), 0) AS bytes FROM gristmill.requests
        WHERE request > $1::int8 AND fault IS NULL ORDER BY request LIMIT $2::int8
    ) AS next
) AS measured
WHERE bytes_before < $3::int8 ORDER BY request
