-- Purpose: pauses a queue; one that is paused keeps its time and takes the newer reason, one that is not
--   there is made.
-- Parameters: $1 name; $2 the instant that replaces the clock (ms), or NULL; $3 reason or NULL; $4 actor or
--   NULL.
-- Rows: none.
-- Index: the unique index of `queues (name)`.
INSERT INTO gristmill.queues AS queue (name, paused_at, pause_reason, paused_by)
VALUES ($1::text, gristmill.now_ms($2::int8), $3::text, $4::text)
ON CONFLICT (name) DO UPDATE
SET paused_at = coalesce(queue.paused_at, excluded.paused_at), pause_reason = excluded.pause_reason,
    paused_by = excluded.paused_by
