-- Purpose: notifies other processes.
-- Parameters: $1 channel; $2 notices.
-- Rows: one a notice, of no meaning.
-- Index: none. A notification is written to the log, and its sender need not wait for that write.
SELECT set_config('synchronous_commit', 'off', true), pg_notify($1::text, told.notice)
FROM unnest($2::text[]) AS told (notice)
