-- Purpose: what the server has spent so far, and by which process it can be found on this machine.
-- Parameters: none.
-- Rows: one: bytes of log ever written; the pid of the process that answers; whether both ends of the
--   connection have the same address, or none as by a socket: then the server runs on this machine, and not
--   in a container of its own.
-- Index: none.
SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::int8, pg_backend_pid(),
    inet_server_addr() IS NOT DISTINCT FROM inet_client_addr()
