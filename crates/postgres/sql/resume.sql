-- Purpose: lets a queue go on.
-- Parameters: $1 name.
-- Rows: queue, where there is one of this name.
-- Index: the unique index of `queues (name)`.
UPDATE gristmill.queues SET paused_at = NULL, pause_reason = NULL, paused_by = NULL
WHERE name = $1::text
RETURNING queue
