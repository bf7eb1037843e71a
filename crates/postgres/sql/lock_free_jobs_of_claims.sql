-- Purpose: locks those jobs of claims that may disappear when their runs end, except those locked elsewhere.
-- Parameters: $1 nonces.
-- Rows: the ids of those that another transaction has locked.
-- Index: the primary keys. It never waits for a lock, so the order of the locks does not matter. The locks
--   are taken before those of their claims.
WITH wanted AS MATERIALIZED (SELECT unnest(ids) AS id FROM gristmill.claims WHERE nonce = ANY ($1::uuid[])),
fragile AS MATERIALIZED (
    SELECT jobs.id FROM gristmill.jobs
    WHERE jobs.id = ANY (ARRAY(SELECT wanted.id FROM wanted)) AND jobs.options IS NOT NULL
),
locked AS MATERIALIZED (
    SELECT jobs.id FROM gristmill.jobs
    WHERE jobs.id = ANY (ARRAY(SELECT fragile.id FROM fragile)) FOR NO KEY UPDATE OF jobs SKIP LOCKED
)
SELECT fragile.id FROM fragile WHERE fragile.id <> ALL (ARRAY(SELECT locked.id FROM locked))
