-- Purpose: jobs leave `ready`, `waiting` and `ended`, wherever they are.
-- Parameters: $1 ids.
-- Rows: none.
-- Index: the primary keys. The caller holds the locks of the rows.
WITH wanted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id),
available AS (DELETE FROM gristmill.ready USING wanted WHERE ready.id = wanted.id),
waits AS (DELETE FROM gristmill.waiting USING wanted WHERE waiting.id = wanted.id)
DELETE FROM gristmill.ended USING wanted WHERE ended.id = wanted.id
