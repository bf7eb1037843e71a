-- Purpose: deletes registers that were forgotten long enough ago.
-- Parameters: 1 the latest instant at which they were forgotten (ms), 2 limit.
-- Rows: none.
DELETE FROM registers WHERE (space, key) IN (
    SELECT space, key FROM registers WHERE forget_at <= ?1 ORDER BY forget_at LIMIT ?2)
