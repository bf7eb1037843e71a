-- Purpose: whether queues are there whose numbers a process knows; it locks them against a drop of the schema until the
--   transaction ends.
-- Parameters: $1 their numbers, each once.
-- Rows: yes or no.
-- Index: the primary key of `queues`.
SELECT count(*) = cardinality($1::int4[]) FROM gristmill.queues WHERE queue = ANY ($1)
