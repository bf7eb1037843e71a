-- Purpose: whether queues are there whose numbers a process knows; it locks them against a drop of the schema
--   until the transaction ends. And what time it is.
-- Parameters: $1 their numbers, each once; $2 the instant that replaces the clock (ms), or NULL.
-- Rows: one: yes or no; now (ms).
-- Index: the primary key of `queues`.
SELECT count(*) = cardinality($1::int4[]), gristmill.now_ms($2::int8) FROM gristmill.queues WHERE queue = ANY ($1)
