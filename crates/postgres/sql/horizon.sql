-- Purpose: what keeps the server from removing dead rows: the oldest transactions, replication slots and prepared
--   transactions.
-- Parameters: none.
-- Rows: what it is (`session`, `slot`, `prepared`), its name (pid, slot, gid), who (application or kind of slot, role), its
--   state, its age in seconds or NULL, how many transactions ago it began; the oldest first, at most ten.
-- Index: none; views of the server's memory.
SELECT what, name, who, state, seconds, transactions FROM (
    SELECT 'session' AS what, pid::text AS name, application_name || ' as ' || coalesce(usename::text, '?') AS who,
        coalesce(state, '?') AS state, extract(epoch FROM clock_timestamp() - xact_start)::int8 AS seconds,
        age(coalesce(backend_xmin, backend_xid))::int8 AS transactions
    FROM pg_catalog.pg_stat_activity
    WHERE coalesce(backend_xmin, backend_xid) IS NOT NULL AND pid <> pg_backend_pid() AND backend_type = 'client backend'
    UNION ALL
    SELECT 'slot', slot_name::text, slot_type, CASE WHEN active THEN 'active' ELSE 'inactive' END, NULL,
        greatest(age(xmin), age(catalog_xmin))::int8
    FROM pg_catalog.pg_replication_slots WHERE xmin IS NOT NULL OR catalog_xmin IS NOT NULL
    UNION ALL
    SELECT 'prepared', gid, 'prepared by ' || owner::text, 'prepared',
        extract(epoch FROM clock_timestamp() - prepared)::int8, age(transaction)::int8
    FROM pg_catalog.pg_prepared_xacts
) AS holder
ORDER BY transactions DESC NULLS LAST, seconds DESC NULLS LAST
LIMIT 10
