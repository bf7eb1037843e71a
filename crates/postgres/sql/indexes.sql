-- Purpose: the valid indexes of the schema.
-- Parameters: $1 schema's name.
-- Rows: the name of each.
-- Index: the catalog's.
SELECT class.relname::text
FROM pg_catalog.pg_index AS entry
    JOIN pg_catalog.pg_class AS class ON class.oid = entry.indexrelid
    JOIN pg_catalog.pg_namespace AS space ON space.oid = class.relnamespace
WHERE space.nspname = $1::text AND entry.indisvalid
