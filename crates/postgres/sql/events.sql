-- Purpose: what happened to a job outside its leases.
-- Parameters: $1 id; $2 limit.
-- Rows: at (ms), what, actor, detail; the latest first.
-- Index: `events_job`.
SELECT at, what, actor, detail FROM gristmill.events WHERE id = $1::uuid ORDER BY event DESC LIMIT $2::int8
