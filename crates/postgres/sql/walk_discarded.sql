-- Purpose: the ids of discarded jobs, and of those with a state that is unknown, which counts as that; a
--   cursor, an order and a limit are added where it is used.
-- Parameters: those of the addition.
-- Rows: id.
-- Index: `ended_state`, whose expression is repeated literally.
SELECT id FROM (SELECT ended.id FROM gristmill.ended WHERE CASE WHEN ended.state = 6 THEN 6 ELSE 7 END = 7) AS job
