-- Purpose: one migration of a schema at a time; held until the transaction ends.
-- Parameters: $1 schema's name.
-- Rows: one, without meaning.
-- Index: none.
SELECT pg_advisory_xact_lock(hashtextextended('gristmill migrate ' || $1::text, 0))::text
