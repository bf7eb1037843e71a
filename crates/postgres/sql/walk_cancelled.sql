-- Purpose: the ids of cancelled jobs; a cursor, an order and a limit are added where it is used.
-- Parameters: those of the addition.
-- Rows: id.
-- Index: `ended_state`.
SELECT id FROM (SELECT ended.id FROM gristmill.ended WHERE ended.state = 6) AS job
