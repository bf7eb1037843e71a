-- Purpose: what decides whether statements of this session can succeed.
-- Parameters: none.
-- Rows: one a setting: its name; its value; the value in ms where it is a time, 0 for none, and for one that
--   this transaction has set.
-- Index: none. A setting that this version of the server lacks has no row.
SELECT name, current_setting(name), CASE WHEN unit = 'ms' AND source <> 'session' THEN setting::int8 ELSE 0 END
FROM pg_catalog.pg_settings
WHERE name IN ('server_encoding', 'default_transaction_read_only', 'default_transaction_isolation',
    'session_replication_role', 'standard_conforming_strings', 'statement_timeout', 'transaction_timeout',
    'idle_session_timeout')
ORDER BY name
