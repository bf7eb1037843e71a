-- Purpose: stored requests that can be read, the oldest first.
-- Parameters: ?1 the request behind which to begin; ?2 limit.
-- Rows: request, id, verb, patch (JSON), actor.
-- Index: requests_open, by name; the condition is a literal, since a partial index is not used with
--   parameters.
SELECT request, id, verb, patch, actor FROM requests INDEXED BY requests_open WHERE fault IS NULL AND request > ?1 ORDER BY request LIMIT ?2
