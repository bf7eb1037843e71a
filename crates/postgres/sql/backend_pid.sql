-- Purpose: which process of the server answers: a transaction pooler changes it between statements.
-- Parameters: none.
-- Rows: one: the pid.
-- Index: none.
SELECT pg_backend_pid()
