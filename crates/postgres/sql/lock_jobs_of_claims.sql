-- Purpose: locks those jobs of claims that may disappear when their runs end: only ones with options do.
-- Parameters: $1 nonces.
-- Rows: none of use.
-- Index: the primary keys. In the order of their ids, and before the locks of their claims.
WITH wanted AS MATERIALIZED (SELECT unnest(ids) AS id FROM gristmill.claims WHERE nonce = ANY ($1::uuid[]))
SELECT jobs.id FROM gristmill.jobs
WHERE jobs.id = ANY (ARRAY(SELECT wanted.id FROM wanted)) AND jobs.options IS NOT NULL
ORDER BY jobs.id FOR NO KEY UPDATE OF jobs
