-- Purpose: what the server says of itself.
-- Parameters: $1 now (ms), or NULL.
-- Rows: one: now (ms); version; fsync; synchronous_commit; full_page_writes; max_connections; shared_buffers;
--   whether it is a standby; wal_level.
-- Index: none.
SELECT gristmill.now_ms($1::int8), current_setting('server_version'), current_setting('fsync'),
    current_setting('synchronous_commit'), current_setting('full_page_writes'), current_setting('max_connections'),
    current_setting('shared_buffers'), pg_is_in_recovery(), current_setting('wal_level')
