-- Purpose: the ids of available jobs; a cursor, an order and a limit are added where it is used.
-- Parameters: those of the addition.
-- Rows: id.
-- Index: the primary key of `ready`.
SELECT id FROM gristmill.ready
