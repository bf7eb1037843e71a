-- Purpose: cancelled and discarded jobs whose retention has passed, the longest past first.
-- Parameters: $1 now (ms); only jobs behind $2 delete_at (ms) and $3 id; $4 at most this many.
-- Rows: delete_at (ms), id.
-- Index: `ended_delete`.
SELECT delete_at, id FROM gristmill.ended
WHERE delete_at <= $1::int8 AND (delete_at, id) > ($2::int8, $3::uuid)
ORDER BY delete_at, id LIMIT $4::int8
