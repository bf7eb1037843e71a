-- Purpose: what the role may do with the schema.
-- Parameters: $1 schema's name.
-- Rows: one: the role's name as an identifier; whether it may change one of the tables; those of which it may
--   not read, add, change and delete rows.
-- Index: the catalog's.
SELECT quote_ident(current_user),
    coalesce(bool_or(has_table_privilege(class.oid, 'INSERT, UPDATE, DELETE')), false),
    coalesce(array_agg(class.relname::text ORDER BY class.relname) FILTER (WHERE NOT (
        has_table_privilege(class.oid, 'SELECT') AND has_table_privilege(class.oid, 'INSERT')
        AND has_table_privilege(class.oid, 'UPDATE') AND has_table_privilege(class.oid, 'DELETE'))), ARRAY[]::text[])
FROM pg_catalog.pg_class AS class JOIN pg_catalog.pg_namespace AS space ON space.oid = class.relnamespace
WHERE space.nspname = $1::text AND class.relkind IN ('r', 'p') AND NOT class.relispartition AND class.relname <> 'migrations'
