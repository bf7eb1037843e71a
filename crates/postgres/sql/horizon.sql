-- Purpose: what keeps the server from removing dead rows: the oldest transactions, standbys, replication
--   slots and prepared transactions.
-- Parameters: none.
-- Rows: what it is (`session`, `hidden` where the role may not see what a session does, `standby`, `slot`,
--   `prepared`), its name (pid, slot, gid), who (application or kind of slot, role), its state, its age in
--   seconds or NULL, how many transactions ago it began; the oldest first, at most ten.
-- Index: none; views of the server's memory. Of sessions whose state is hidden the type is NULL, too.
SELECT what, name, who, state, seconds, transactions FROM (
    SELECT CASE WHEN backend_type IS NULL THEN 'hidden' WHEN backend_type = 'walsender' AND xact_start IS NULL THEN 'standby'
            ELSE 'session' END AS what,
        pid::text AS name, application_name || ' as ' || coalesce(usename::text, '?') AS who,
        coalesce(state, '?') AS state, extract(epoch FROM clock_timestamp() - xact_start)::int8 AS seconds,
        age(coalesce(backend_xmin, backend_xid))::int8 AS transactions
    FROM pg_catalog.pg_stat_activity
    WHERE coalesce(backend_xmin, backend_xid) IS NOT NULL AND pid <> pg_backend_pid()
        AND coalesce(backend_type IN ('client backend', 'walsender'), usesysid IS NOT NULL)
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
