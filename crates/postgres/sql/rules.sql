-- Purpose: what was done to the tables of the schema that keeps statements from what they are to do.
-- Parameters: $1 schema's name.
-- Rows: the table, what it is (`policy` of rows that holds for this role, `trigger` that is disabled), and
--   its name.
-- Index: the catalog's.
SELECT class.relname::text, 'policy', ''
FROM pg_catalog.pg_class AS class JOIN pg_catalog.pg_namespace AS space ON space.oid = class.relnamespace
WHERE space.nspname = $1::text AND class.relrowsecurity
    AND (NOT pg_catalog.pg_has_role(current_user, class.relowner, 'USAGE') OR class.relforcerowsecurity)
    AND NOT (SELECT rolsuper OR rolbypassrls FROM pg_catalog.pg_roles WHERE rolname = current_user)
UNION ALL
SELECT class.relname::text, 'trigger', entry.tgname::text
FROM pg_catalog.pg_trigger AS entry JOIN pg_catalog.pg_class AS class ON class.oid = entry.tgrelid
    JOIN pg_catalog.pg_namespace AS space ON space.oid = class.relnamespace
WHERE space.nspname = $1 AND entry.tgenabled IN ('D', 'R')
ORDER BY 1, 2, 3
