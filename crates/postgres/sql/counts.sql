-- Purpose: the number of jobs in each queue and state, of one moment.
-- Parameters: $1 states that are asked for; $2 queues, NULL for all; where counting may end, NULL for
--   nowhere: $3 the available jobs of a queue, $4 those that wait, and those that ended, of all queues and
--   states.
-- Rows: queue, state, amount; those of which there are none may be missing. A state that is unknown counts as
--   suspended or discarded.
-- Index: `ready_order`. All of `waiting`, `ended`, `claims` and `tallies` is read, where their states are
--   asked for.
SELECT queues.queue, 2::int2, (
    SELECT count(*) FROM (SELECT FROM gristmill.ready WHERE ready.queue = queues.queue LIMIT $3::int8) AS counted
)
FROM gristmill.queues
WHERE 2 = ANY ($1::int2[]) AND ($2::int4[] IS NULL OR queues.queue = ANY ($2))
UNION ALL
SELECT queue, state, count(*)
FROM (
    SELECT queue, state
    FROM (SELECT queue, CASE WHEN state IN (0, 1, 4) THEN state ELSE 0::int2 END AS state FROM gristmill.waiting) AS waiting
    WHERE $1 && '{0,1,4}' AND state = ANY ($1) AND ($2 IS NULL OR queue = ANY ($2))
    LIMIT $4::int8
) AS counted
GROUP BY queue, state
UNION ALL
SELECT queue, state, count(*)
FROM (
    SELECT queue, state
    FROM (SELECT queue, CASE WHEN state IN (6, 7) THEN state ELSE 7::int2 END AS state FROM gristmill.ended) AS ended
    WHERE $1 && '{6,7}' AND state = ANY ($1) AND ($2 IS NULL OR queue = ANY ($2))
    LIMIT $4
) AS counted
GROUP BY queue, state
UNION ALL
SELECT queue, 3::int2, sum(open)::int8 FROM gristmill.claims
WHERE 3 = ANY ($1) AND ($2 IS NULL OR queue = ANY ($2))
GROUP BY queue
UNION ALL
SELECT queue, 5::int2, sum(completed)::int8 FROM gristmill.tallies
WHERE 5 = ANY ($1) AND ($2 IS NULL OR queue = ANY ($2))
GROUP BY queue
