-- Purpose: jobs leave `ready`, `waiting` and `ended`, wherever they are.
-- Parameters: $1 ids.
-- Rows: none.
-- Index: the primary keys. The caller holds the locks of the rows.
WITH available AS (DELETE FROM gristmill.ready WHERE id = ANY ($1::uuid[])),
waits AS (DELETE FROM gristmill.waiting WHERE id = ANY ($1))
DELETE FROM gristmill.ended WHERE id = ANY ($1)
