-- Purpose: lets a queue go on.
-- Parameters: ?1 queue.
-- Rows: none.
-- Index: the primary key of `queues`.
UPDATE queues SET paused_at = NULL, pause_reason = NULL, paused_by = NULL WHERE queue = ?1
