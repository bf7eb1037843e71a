-- Purpose: completed jobs whose noted deletion is due, the longest due first.
-- Parameters: $1 now (ms); only jobs behind $2 delete_at (ms) and $3 id; $4 at most this many.
-- Rows: when it was due (ms), id.
-- Index: the primary key of `expiries`.
SELECT delete_at, id FROM gristmill.expiries
WHERE delete_at <= $1::int8 AND (delete_at, id) > ($2::int8, $3::uuid)
ORDER BY delete_at, id LIMIT $4::int8
