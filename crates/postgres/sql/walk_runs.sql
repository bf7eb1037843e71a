-- Purpose: the ids of jobs with a run that ended, once a run; a cursor, an order and a limit are added where
--   it is used.
-- Parameters: those of the addition.
-- Rows: id.
-- Index: the primary key of `attempts`.
SELECT id FROM gristmill.attempts
