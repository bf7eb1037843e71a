-- Purpose: the running jobs of a worker that somebody wants cancelled.
-- Parameters: $1 worker.
-- Rows: id, run.
-- Index: the unique index of `claims (worker, number, queue)`.
SELECT member.id, member.run
FROM gristmill.claims CROSS JOIN LATERAL unnest(claims.ids, claims.runs) AS member (id, run)
WHERE claims.worker = $1::uuid AND member.id = ANY (claims.cancels)
ORDER BY claims.number, member.id
