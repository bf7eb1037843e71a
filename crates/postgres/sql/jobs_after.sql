-- Purpose: the next jobs in the order of their ids.
-- Parameters: $1 only ids after this one; $2 at most this many.
-- Rows: id.
-- Index: the primary key of `jobs`, partition by partition.
SELECT id FROM gristmill.jobs WHERE id > $1::uuid ORDER BY id LIMIT $2::int8
