-- Purpose: pauses a queue; one that is paused keeps its time and takes the newer reason.
-- Parameters: ?1 queue; ?2 now (ms); ?3 reason or NULL; ?4 actor or NULL.
-- Rows: none.
-- Index: the primary key of `queues`.
UPDATE queues SET paused_at = coalesce(paused_at, ?2), pause_reason = ?3, paused_by = ?4 WHERE queue = ?1
