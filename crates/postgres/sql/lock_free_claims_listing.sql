-- Purpose: locks the claims that list jobs which are about to disappear, except those that another
--   transaction has locked.
-- Parameters: $1 ids.
-- Rows: the ids of those that a claim lists which is not locked now.
-- Index: all of `claims`; the primary key for the locks. It never waits, so the order of the locks does not
--   matter.
WITH listing AS MATERIALIZED (
    SELECT nonce, ids FROM gristmill.claims
    WHERE nonce = ANY (ARRAY(SELECT unnest(gristmill.claims_listing($1::uuid[]))))
),
locked AS MATERIALIZED (
    SELECT nonce FROM gristmill.claims
    WHERE nonce = ANY (ARRAY(SELECT listing.nonce FROM listing)) FOR UPDATE SKIP LOCKED
)
SELECT DISTINCT member.id FROM listing CROSS JOIN LATERAL unnest(listing.ids) AS member (id)
WHERE listing.nonce <> ALL (ARRAY(SELECT locked.nonce FROM locked)) AND member.id = ANY ($1)
