-- Purpose: the partitions there are, the DEFAULT ones apart.
-- Parameters: none.
-- Rows: the first id, and the first behind; in their order.
-- Index: the catalog's.
SELECT bounds[1]::uuid, bounds[2]::uuid
FROM pg_catalog.pg_inherits
    JOIN pg_catalog.pg_class AS partition ON partition.oid = pg_inherits.inhrelid
    CROSS JOIN LATERAL pg_catalog.regexp_match(pg_catalog.pg_get_expr(partition.relpartbound, partition.oid),
        'FROM \(''([-0-9a-f]+)''\) TO \(''([-0-9a-f]+)''\)') AS bounds
WHERE pg_inherits.inhparent = 'gristmill.attempts'::pg_catalog.regclass AND bounds IS NOT NULL
ORDER BY 1
