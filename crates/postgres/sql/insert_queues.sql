-- Purpose: makes queues known that are not.
-- Parameters: $1 names.
-- Rows: none.
-- Index: the unique index of `queues (name)`. In the order of the names, so that two callers do not block each other
--   crosswise. A number that is taken by chance makes no queue either: the caller tries again.
INSERT INTO gristmill.queues (name)
SELECT wanted.name FROM (SELECT DISTINCT unnest($1::text[]) AS name) AS wanted
WHERE NOT EXISTS (SELECT FROM gristmill.queues AS known WHERE known.name = wanted.name)
ORDER BY wanted.name
ON CONFLICT DO NOTHING
