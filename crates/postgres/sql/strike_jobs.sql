-- Purpose: no claim lists jobs that are about to disappear, see `strike` of the schema.
-- Parameters: $1 ids.
-- Rows: one without a meaning.
-- Index: none; claims are few.
SELECT gristmill.strike($1::uuid[], gristmill.claims_listing($1))
