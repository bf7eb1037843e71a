-- Purpose: the ids of cancelled jobs; a cursor, an order and a limit are added where it is used.
-- Parameters: those of the addition.
-- Rows: id.
-- Index: `ended_state`, whose expression is repeated literally.
SELECT id FROM (SELECT ended.id FROM gristmill.ended WHERE CASE WHEN ended.state = 6 THEN 6 ELSE 7 END = 6) AS job
