-- Purpose: every queue.
-- Parameters: none.
-- Rows: queue, name, paused_at (ms), pause_reason, paused_by; by name, byte by byte.
-- Index: the unique index of `queues (name)`.
SELECT queue, name, paused_at, pause_reason, paused_by FROM gristmill.queues ORDER BY name
