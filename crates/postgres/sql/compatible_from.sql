-- Purpose: which programs may use the schema, beside those of its own version.
-- Parameters: none.
-- Rows: one: the schema version of the oldest program that may.
-- Index: none; one row.
SELECT compatible_from FROM gristmill.versions
