-- Purpose: no claim lists jobs of a span of ids whose runs have ended: they are about to go with their
--   partition.
-- Parameters: $1 from this id; $2 before this one.
-- Rows: one without a meaning.
-- Index: none; claims are few. The primary key of `attempts` for members of the span. It is an error (55P03)
--   if another transaction has locked such a claim. A job that runs again stays, and is struck out of no
--   claim; one that is fetched at this moment stays in its new claim, which was not looked at. A run that has
--   ended needs no member: a repeated finish finds its row.
WITH member AS MATERIALIZED (
    SELECT claims.nonce, member.id, EXISTS (
            SELECT FROM gristmill.attempts WHERE attempts.id = member.id AND attempts.run = member.run OFFSET 0
        ) AS has_ended
    FROM gristmill.claims CROSS JOIN LATERAL unnest(claims.ids, claims.runs) AS member (id, run)
    WHERE member.id >= $1::uuid AND member.id < $2::uuid
),
gone AS MATERIALIZED (
    SELECT array_agg(member.nonce) AS nonces, member.id FROM member GROUP BY member.id HAVING bool_and(member.has_ended)
),
locked AS MATERIALIZED (
    SELECT claims.nonce FROM gristmill.claims
    WHERE claims.nonce = ANY (ARRAY(SELECT unnest(gone.nonces) FROM gone)) ORDER BY claims.nonce FOR UPDATE NOWAIT
)
SELECT gristmill.strike(ARRAY(SELECT gone.id FROM gone), ARRAY(SELECT locked.nonce FROM locked))
