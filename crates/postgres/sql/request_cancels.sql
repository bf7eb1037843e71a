-- Purpose: asks for the cancel of running jobs.
-- Parameters: arrays, one entry a job: $1 nonce of its claim, $2 id.
-- Rows: none.
-- Index: the primary key of `claims`, whose rows the caller has locked.
WITH asked AS MATERIALIZED (
    SELECT item.nonce, array_agg(item.id) AS ids FROM unnest($1::uuid[], $2::uuid[]) AS item (nonce, id)
    GROUP BY item.nonce
)
UPDATE gristmill.claims
SET cancels = claims.cancels || ARRAY(SELECT unnest(asked.ids) EXCEPT SELECT unnest(claims.cancels))
FROM asked WHERE claims.nonce = asked.nonce AND claims.nonce = ANY ($1)
