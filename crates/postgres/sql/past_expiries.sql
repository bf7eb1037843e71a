-- Purpose: completed jobs whose noted deletion is due, the longest due first.
-- Parameters: $1 now (ms); $2 at most this many.
-- Rows: when it was due (ms), id.
-- Index: the primary key of `expiries`.
SELECT delete_at, id FROM gristmill.expiries WHERE delete_at <= $1::int8 ORDER BY delete_at, id LIMIT $2::int8
