-- Purpose: no claim lists jobs of a span of ids whose runs have ended: they are about to go with their partition.
-- Parameters: $1 from this id; $2 before this one.
-- Rows: none.
-- Index: none; claims are few. The primary key of `attempts` for members of the span. It is an error (55P03) if another
--   transaction has locked such a claim. What a struck member leaves: see `strike_jobs.sql`. A run that has ended needs no
--   member: a repeated finish finds its row.
WITH gone AS MATERIALIZED (
    SELECT claims.nonce, member.id
    FROM gristmill.claims CROSS JOIN LATERAL unnest(claims.ids, claims.runs) AS member (id, run)
    WHERE member.id >= $1::uuid AND member.id < $2::uuid AND EXISTS (
        SELECT FROM gristmill.attempts WHERE attempts.id = member.id AND attempts.run = member.run OFFSET 0)
),
listing AS MATERIALIZED (
    SELECT claims.nonce FROM gristmill.claims
    WHERE claims.nonce = ANY (ARRAY(SELECT gone.nonce FROM gone)) ORDER BY claims.nonce FOR UPDATE NOWAIT
)
UPDATE gristmill.claims SET
    ids = ARRAY(
        SELECT CASE WHEN (member.id IN (SELECT gone.id FROM gone)) IS NOT TRUE THEN member.id END
        FROM unnest(claims.ids) WITH ORDINALITY AS member (id, place) ORDER BY member.place),
    cancels = ARRAY(SELECT unnest(claims.cancels) EXCEPT SELECT gone.id FROM gone)
WHERE claims.nonce = ANY (ARRAY(SELECT listing.nonce FROM listing))
