-- Purpose: whether the schema is ours, and what else is in it.
-- Parameters: $1 schema's name.
-- Rows: one: whether it has a table `migrations`; the number of its tables.
-- Index: the catalog's.
SELECT count(*) FILTER (WHERE class.relname = 'migrations') > 0, count(*)
FROM pg_catalog.pg_class AS class JOIN pg_catalog.pg_namespace AS space ON space.oid = class.relnamespace
WHERE space.nspname = $1::text AND class.relkind IN ('r', 'p')
