-- Purpose: every queue.
-- Parameters: none.
-- Rows: queue, name, paused_at (ms), pause_reason, paused_by; by name.
-- Index: the unique name of `queues`.
SELECT queue, name, paused_at, pause_reason, paused_by FROM queues ORDER BY name
