-- Purpose: the kinds that have parked jobs in queues, with their numbers.
-- Parameters: $1 queues, NULL for all; $2 where counting may end, NULL for nowhere; $3 the smallest and $4
--   the largest priority.
-- Rows: queue, kind, how many, when the first became due (ms); by queue and kind.
-- Index: `waiting_parked`, one look a kind and one a kind and priority, and the counted entries; all of
--   `queues`.
SELECT queues.queue, line.kind, counted.amount, due.run_at
FROM gristmill.queues
    CROSS JOIN LATERAL (
        WITH RECURSIVE known AS (
            (SELECT first.kind FROM gristmill.waiting AS first
            WHERE first.queue = queues.queue AND first.kind IS NOT NULL
            ORDER BY first.queue, first.kind LIMIT 1)
            UNION ALL
            SELECT (SELECT next.kind FROM gristmill.waiting AS next
                WHERE next.queue = queues.queue AND next.kind > known.kind
                ORDER BY next.queue, next.kind LIMIT 1)
            FROM known WHERE known.kind IS NOT NULL
        )
        SELECT known.kind FROM known WHERE known.kind IS NOT NULL
    ) AS line
    CROSS JOIN LATERAL (
        SELECT count(*) AS amount FROM (
            SELECT FROM gristmill.waiting AS one WHERE one.queue = queues.queue AND one.kind = line.kind LIMIT $2::int8
        ) AS them
    ) AS counted
    CROSS JOIN LATERAL (
        SELECT min(oldest.run_at) AS run_at
        FROM generate_series($3::int4, $4::int4) AS priorities (priority)
            CROSS JOIN LATERAL (
                SELECT one.run_at FROM gristmill.waiting AS one
                WHERE one.queue = queues.queue AND one.kind = line.kind AND one.priority = priorities.priority::int2
                ORDER BY one.run_at LIMIT 1
            ) AS oldest
    ) AS due
WHERE $1::int4[] IS NULL OR queues.queue = ANY ($1)
ORDER BY queues.queue, line.kind
