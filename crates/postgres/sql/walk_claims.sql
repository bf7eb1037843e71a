-- Purpose: the ids of jobs in claims, those whose run has ended among them; a cursor, an order and a limit
--   are added where it is used.
-- Parameters: those of the addition.
-- Rows: id.
-- Index: none; every claim is read.
SELECT id FROM (SELECT unnest(claims.ids) AS id FROM gristmill.claims) AS member
