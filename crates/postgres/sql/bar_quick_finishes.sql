-- Purpose: claims that list jobs which are about to disappear finish no run the quick way, which knows an ended run by its
--   row.
-- Parameters: $1 ids.
-- Rows: none.
-- Index: none; claims are few. `IS TRUE` makes a hash of the ids, whatever joins are allowed.
WITH wanted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id),
listing AS MATERIALIZED (
    SELECT claims.nonce FROM gristmill.claims
    WHERE claims.cancels IS NULL AND EXISTS (
        SELECT FROM unnest(claims.ids) AS member (id) WHERE (member.id IN (SELECT wanted.id FROM wanted)) IS TRUE)
    ORDER BY claims.nonce FOR UPDATE
)
UPDATE gristmill.claims SET cancels = '{}' FROM listing WHERE claims.nonce = listing.nonce AND claims.cancels IS NULL
