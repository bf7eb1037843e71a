-- Purpose: of the events of jobs only the newest stay.
-- Parameters: $1 ids, each once; $2 how many events a job keeps.
-- Rows: none.
-- Index: `events_job` finds the old ones, the primary key of `events` removes them.
WITH wanted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id),
old AS MATERIALIZED (
    SELECT newest.event
    FROM wanted CROSS JOIN LATERAL (
        SELECT events.event FROM gristmill.events
        WHERE events.id = wanted.id
        ORDER BY events.event DESC OFFSET $2::int8
    ) AS newest
)
DELETE FROM gristmill.events WHERE event = ANY (ARRAY(SELECT old.event FROM old))
