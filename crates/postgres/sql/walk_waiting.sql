-- Purpose: the ids of jobs that wait; a cursor, an order and a limit are added where it is used.
-- Parameters: those of the addition.
-- Rows: id.
-- Index: the primary key of `waiting`.
SELECT id FROM gristmill.waiting
