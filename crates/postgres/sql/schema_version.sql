-- Purpose: the version of the schema.
-- Parameters: none.
-- Rows: one: the latest version that was applied; 0 for none.
-- Index: the primary key of `migrations`.
SELECT coalesce(max(version), 0) FROM gristmill.migrations
