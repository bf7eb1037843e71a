-- Purpose: how many jobs of a queue and kind are parked.
-- Parameters: ?1 queue; ?2 kind; ?3 where counting may end, -1 for nowhere.
-- Rows: one: the number.
-- Index: waiting_parked.
SELECT count(*) FROM (SELECT 1 FROM waiting WHERE queue = ?1 AND kind = ?2 LIMIT ?3)
