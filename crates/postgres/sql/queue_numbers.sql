-- Purpose: the numbers of queues by name.
-- Parameters: $1 names.
-- Rows: queue, name; those that are there, in no order.
-- Index: the unique index of `queues (name)`.
SELECT queue, name FROM gristmill.queues WHERE name = ANY ($1::text[])
