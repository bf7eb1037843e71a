-- Purpose: the running jobs of some claims with a requested cancel.
-- Parameters: $1 nonces.
-- Rows: id, run.
-- Index: the primary key of `claims`.
SELECT member.id, member.run
FROM gristmill.claims CROSS JOIN LATERAL unnest(claims.ids, claims.runs) AS member (id, run)
WHERE claims.nonce = ANY ($1::uuid[]) AND member.id = ANY (claims.cancels)
ORDER BY claims.number, member.id
