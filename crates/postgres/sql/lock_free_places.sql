-- Purpose: locks jobs where they are as `lock_places.sql` does, and the claims that list them, except what
--   another transaction has locked.
-- Parameters: $1 ids; $2 those of them whose claims are locked, too.
-- Rows: ids of jobs that another transaction has locked in their place or their claim, or has just moved. It
--   never waits for a lock, so the order of the locks does not matter.
-- Index: the primary keys, asked for each id, so that a plan made while a table was empty holds when it is
--   full; all of `claims` for $2, where there is one. `IS TRUE` makes a hash of the ids, whatever joins are
--   allowed.
WITH wanted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id),
place AS MATERIALIZED (
    SELECT stored.id FROM wanted
    CROSS JOIN LATERAL (SELECT ready.id FROM gristmill.ready WHERE ready.id = wanted.id OFFSET 0) AS stored
    UNION ALL
    SELECT stored.id FROM wanted
    CROSS JOIN LATERAL (SELECT waiting.id FROM gristmill.waiting WHERE waiting.id = wanted.id OFFSET 0) AS stored
    UNION ALL
    SELECT stored.id FROM wanted
    CROSS JOIN LATERAL (SELECT ended.id FROM gristmill.ended WHERE ended.id = wanted.id OFFSET 0) AS stored
),
available AS MATERIALIZED (
    SELECT locked.id FROM wanted CROSS JOIN LATERAL (
        SELECT ready.id FROM gristmill.ready WHERE ready.id = wanted.id FOR UPDATE SKIP LOCKED
    ) AS locked
),
waits AS MATERIALIZED (
    SELECT locked.id FROM wanted CROSS JOIN LATERAL (
        SELECT waiting.id FROM gristmill.waiting WHERE waiting.id = wanted.id FOR UPDATE SKIP LOCKED
    ) AS locked
),
past AS MATERIALIZED (
    SELECT locked.id FROM wanted CROSS JOIN LATERAL (
        SELECT ended.id FROM gristmill.ended WHERE ended.id = wanted.id FOR UPDATE SKIP LOCKED
    ) AS locked
),
member AS MATERIALIZED (
    SELECT claims.nonce, listed.id FROM gristmill.claims CROSS JOIN LATERAL unnest(claims.ids) AS listed (id)
    WHERE claims.nonce = ANY (gristmill.claims_listing($2::uuid[])) AND (listed.id IN (SELECT unnest($2))) IS TRUE
),
free AS MATERIALIZED (
    SELECT claims.nonce FROM gristmill.claims
    WHERE claims.nonce = ANY (ARRAY(SELECT member.nonce FROM member)) FOR UPDATE SKIP LOCKED
)
SELECT place.id FROM place
WHERE (place.id IN (SELECT id FROM available UNION ALL SELECT id FROM waits UNION ALL SELECT id FROM past)) IS NOT TRUE
UNION ALL
SELECT member.id FROM member WHERE (member.nonce IN (SELECT free.nonce FROM free)) IS NOT TRUE
