-- Purpose: makes queues known that are not.
-- Parameters: $1 names.
-- Rows: none.
-- Index: the unique index of `queues (name)`. In the order of the names, so that two callers do not block
--   each other crosswise. One whose number another queue was given at this moment is left out: the next call
--   gives it another number.
INSERT INTO gristmill.queues (queue, name)
SELECT gristmill.queue_number(wanted.name), wanted.name FROM (SELECT DISTINCT unnest($1::text[]) AS name) AS wanted
WHERE NOT EXISTS (SELECT FROM gristmill.queues AS known WHERE known.name = wanted.name)
ORDER BY wanted.name
ON CONFLICT DO NOTHING
