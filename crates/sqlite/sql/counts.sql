-- Purpose: the number of jobs in each queue and state.
-- Parameters: none.
-- Rows: queue, its name, state, amount.
-- Index: the primary keys of `counts` and `queues`.
SELECT counts.queue, queues.name, counts.state, counts.amount
FROM counts JOIN queues ON queues.queue = counts.queue
