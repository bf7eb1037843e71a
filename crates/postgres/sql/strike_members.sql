-- Purpose: members leave their claims without a row in `attempts`: their jobs go elsewhere, and no run of
--   them has ended. A claim without an open run goes.
-- Parameters: arrays, one entry a member: $1 nonce, $2 id.
-- Rows: none.
-- Index: the primary key of `claims`, by `ANY`, whatever the plan of the join is. The caller holds the locks,
--   and knows that the members are listed and their runs open. What a struck member leaves: see
--   `strike_jobs.sql`.
WITH struck AS MATERIALIZED (
    SELECT member.nonce, count(*)::int4 AS number, array_agg(member.id) AS ids
    FROM unnest($1::uuid[], $2::uuid[]) AS member (nonce, id) GROUP BY member.nonce
),
gone AS (
    DELETE FROM gristmill.claims USING struck
    WHERE claims.nonce = struck.nonce AND claims.nonce = ANY ($1) AND claims.open <= struck.number
)
UPDATE gristmill.claims SET
    open = claims.open - struck.number,
    ids = ARRAY(
        SELECT CASE WHEN (member.id = ANY (struck.ids)) IS NOT TRUE THEN member.id END
        FROM unnest(claims.ids) WITH ORDINALITY AS member (id, place) ORDER BY member.place),
    cancels = ARRAY(SELECT unnest(claims.cancels) EXCEPT SELECT unnest(struck.ids))
FROM struck WHERE claims.nonce = struck.nonce AND claims.nonce = ANY ($1) AND claims.open > struck.number
