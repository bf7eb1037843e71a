-- Purpose: jobs disappear with all that belongs to them. Their rows in `ready` and `waiting` and their claims
--   are the caller's.
-- Parameters: $1 ids.
-- Rows: one without a meaning.
-- Index: the primary keys, in the partitions the ids lie in; of `uniques` and `events` the index by id.
SELECT gristmill.erase($1::uuid[])
