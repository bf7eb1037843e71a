-- Purpose: keeps other processes from applying requests until the transaction ends.
-- Parameters: $1 the schema.
-- Rows: whether none does already.
-- Index: none.
SELECT pg_try_advisory_xact_lock(hashtextextended('gristmill requests ' || $1::text, 0))
