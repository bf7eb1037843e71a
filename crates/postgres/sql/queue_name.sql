-- Purpose: the name of a queue by its number.
-- Parameters: $1 queue.
-- Rows: name.
-- Index: the primary key of `queues`.
SELECT name FROM gristmill.queues WHERE queue = $1::int4
