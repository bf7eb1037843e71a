-- Purpose: locks jobs where they wait or have ended. A job that leaves its place meanwhile is not locked.
-- Parameters: $1 ids.
-- Rows: id; the jobs that are locked.
-- Index: the primary keys of `ready`, `waiting` and `ended`, asked for each id in their order, so that a plan
--   made while a table was empty holds when it is full.
WITH wanted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id ORDER BY 1),
available AS MATERIALIZED (
    SELECT locked.id FROM wanted
    CROSS JOIN LATERAL (SELECT ready.id FROM gristmill.ready WHERE ready.id = wanted.id FOR UPDATE) AS locked
),
waits AS MATERIALIZED (
    SELECT locked.id FROM wanted
    CROSS JOIN LATERAL (SELECT waiting.id FROM gristmill.waiting WHERE waiting.id = wanted.id FOR UPDATE) AS locked
),
past AS MATERIALIZED (
    SELECT locked.id FROM wanted
    CROSS JOIN LATERAL (SELECT ended.id FROM gristmill.ended WHERE ended.id = wanted.id FOR UPDATE) AS locked
)
SELECT id FROM available UNION ALL SELECT id FROM waits UNION ALL SELECT id FROM past
