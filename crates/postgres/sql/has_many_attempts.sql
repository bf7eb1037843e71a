-- Purpose: whether jobs of a span of ids have many ended runs.
-- Parameters: $1 from this id; $2 before this one; $3 how many are many.
-- Rows: whether.
-- Index: the primary key of `attempts`; read up to that many entries.
SELECT EXISTS (SELECT FROM gristmill.attempts WHERE id >= $1::uuid AND id < $2::uuid OFFSET $3::int8 LIMIT 1)
