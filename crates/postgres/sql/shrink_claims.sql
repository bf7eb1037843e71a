-- Purpose: claims without the runs that have ended; one without an open run goes.
-- Parameters: arrays, one entry a claim: $1 nonce, $2 how many runs have ended, $3 whether a job of it
--   disappears; $4 the ids whose runs have ended, $5 those of them that disappear.
-- Rows: none.
-- Index: the primary key of `claims`, by `ANY`, whatever the plan of the join is. The caller holds the locks.
--   A job that disappears is struck out, see `strike_jobs.sql`.
WITH wanted AS MATERIALIZED (
    SELECT * FROM unnest($1::uuid[], $2::int4[], $3::bool[]) AS claim (nonce, ended, has_erased)
),
gone AS (
    DELETE FROM gristmill.claims USING wanted
    WHERE claims.nonce = wanted.nonce AND claims.nonce = ANY ($1) AND claims.open <= wanted.ended
)
UPDATE gristmill.claims SET
    open = claims.open - wanted.ended,
    ids = CASE WHEN wanted.has_erased THEN ARRAY(
        SELECT CASE WHEN (member.id = ANY ($5::uuid[])) IS NOT TRUE THEN member.id END
        FROM unnest(claims.ids) WITH ORDINALITY AS member (id, place) ORDER BY member.place) ELSE claims.ids END,
    cancels = CASE WHEN claims.cancels IS NOT NULL OR wanted.has_erased
        THEN ARRAY(SELECT unnest(claims.cancels) EXCEPT SELECT unnest($4::uuid[])) END
FROM wanted WHERE claims.nonce = wanted.nonce AND claims.nonce = ANY ($1) AND claims.open > wanted.ended
