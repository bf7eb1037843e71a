-- Purpose: the functions and triggers of the schema.
-- Parameters: $1 schema's name.
-- Rows: the name of each.
-- Index: the catalog's.
SELECT entry.proname::text
FROM pg_catalog.pg_proc AS entry JOIN pg_catalog.pg_namespace AS space ON space.oid = entry.pronamespace
WHERE space.nspname = $1::text
UNION
SELECT entry.tgname::text
FROM pg_catalog.pg_trigger AS entry JOIN pg_catalog.pg_class AS class ON class.oid = entry.tgrelid
    JOIN pg_catalog.pg_namespace AS space ON space.oid = class.relnamespace
WHERE space.nspname = $1 AND NOT entry.tgisinternal
