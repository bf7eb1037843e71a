-- Purpose: lets the owner of a schema's tables own what a migration adds, until the transaction ends.
-- Parameters: $1 schema's name.
-- Rows: one, the owner.
-- Index: pg_namespace_nspname_index, pg_class_relname_nsp_index.
SELECT set_config('role', pg_get_userbyid(pg_class.relowner)::text, true)
FROM pg_class JOIN pg_namespace ON pg_namespace.oid = pg_class.relnamespace
WHERE pg_namespace.nspname = $1::text AND pg_class.relname = 'migrations'
