-- Purpose: cancelled and discarded jobs whose retention has passed, the longest past first.
-- Parameters: $1 now (ms); $2 at most this many.
-- Rows: id.
-- Index: `ended_delete`.
SELECT id FROM gristmill.ended WHERE delete_at <= $1::int8 ORDER BY delete_at LIMIT $2::int8
