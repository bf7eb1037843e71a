-- Purpose: tells all processes, once the transaction commits. Unlike `notify` it leaves the transaction's
--   settings alone.
-- Parameters: $1 channel; $2 notices.
-- Rows: one a notice, of no meaning.
-- Index: none.
SELECT pg_notify($1::text, notice) FROM unnest($2::text[]) AS notice
