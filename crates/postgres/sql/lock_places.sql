-- Purpose: locks jobs where they wait or have ended. A job that leaves its place meanwhile is not locked.
-- Parameters: $1 ids.
-- Rows: id; the jobs that are locked.
-- Index: the primary keys of `ready`, `waiting` and `ended`; of each table in the order of the ids.
WITH wanted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id),
available AS MATERIALIZED (
    SELECT ready.id FROM wanted JOIN gristmill.ready ON ready.id = wanted.id
    ORDER BY ready.id FOR UPDATE OF ready
),
waits AS MATERIALIZED (
    SELECT waiting.id FROM wanted JOIN gristmill.waiting ON waiting.id = wanted.id
    ORDER BY waiting.id FOR UPDATE OF waiting
),
past AS MATERIALIZED (
    SELECT ended.id FROM wanted JOIN gristmill.ended ON ended.id = wanted.id
    ORDER BY ended.id FOR UPDATE OF ended
)
SELECT id FROM available UNION ALL SELECT id FROM waits UNION ALL SELECT id FROM past
