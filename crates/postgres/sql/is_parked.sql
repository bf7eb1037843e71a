-- Purpose: whether a job of some queues and kinds is parked.
-- Parameters: $1 queues; $2 kinds.
-- Rows: one.
-- Index: `waiting_parked`, one look a queue and kind.
SELECT EXISTS (
    SELECT FROM unnest($1::int4[]) AS line (queue) CROSS JOIN unnest($2::text[]) AS known (kind)
    CROSS JOIN LATERAL (
        SELECT FROM gristmill.waiting AS job WHERE job.queue = line.queue AND job.kind = known.kind LIMIT 1
    ) AS one
)
