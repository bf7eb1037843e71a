-- Purpose: whether the schema is ours, and what else is in it.
-- Parameters: $1 schema's name.
-- Rows: one: whether it has a table `migrations`; the number of its tables; whether it is there at all.
-- Index: the catalog's.
SELECT count(*) FILTER (WHERE class.relname = 'migrations') > 0, count(class.oid), count(space.oid) > 0
FROM pg_catalog.pg_namespace AS space
    LEFT JOIN pg_catalog.pg_class AS class ON class.relnamespace = space.oid AND class.relkind IN ('r', 'p')
WHERE space.nspname = $1::text
