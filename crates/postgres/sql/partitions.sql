-- Purpose: the partitions there are, the DEFAULT ones apart.
-- Parameters: none.
-- Rows: when the first of its jobs can have been made, and the first behind it (ms); in order.
-- Index: the catalog's.
SELECT from_ms, to_ms FROM gristmill.partitions()
