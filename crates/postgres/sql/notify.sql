-- Purpose: tells other processes.
-- Parameters: $1 channel; $2 notices.
-- Rows: one a notice, of no meaning.
-- Index: none. A transaction that notifies is written to the log; nobody has to wait for that.
SELECT set_config('synchronous_commit', 'off', true), pg_notify($1::text, told.notice)
FROM unnest($2::text[]) AS told (notice)
