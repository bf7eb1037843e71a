-- Purpose: which store this is, and which life of it: another one after the schema was dropped and made anew,
--   and after it was restored from a dump, be it its own.
-- Parameters: none.
-- Rows: one text.
-- Index: none; one row.
SELECT concat_ws(' ', identity, tableoid, xmin) FROM gristmill.store
