-- Purpose: how the hot tables are vacuumed.
-- Parameters: $1 schema's name.
-- Rows: table, whether the table's own settings keep autovacuum on, live rows, dead rows, seconds since the
--   last vacuum or NULL; whether the server has autovacuum on.
-- Index: the catalog's.
SELECT tables.relname::text,
    NOT EXISTS (
        SELECT FROM pg_options_to_table(class.reloptions) AS given (name, value)
        WHERE given.name = 'autovacuum_enabled' AND NOT given.value::boolean),
    tables.n_live_tup, tables.n_dead_tup,
    extract(epoch FROM clock_timestamp() - greatest(tables.last_vacuum, tables.last_autovacuum))::int8,
    current_setting('autovacuum') = 'on'
FROM pg_catalog.pg_stat_all_tables AS tables JOIN pg_catalog.pg_class AS class ON class.oid = tables.relid
WHERE tables.schemaname = $1::text AND tables.relname IN ('ready', 'waiting', 'claims', 'workers')
ORDER BY tables.relname
