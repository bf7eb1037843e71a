-- Purpose: no claim lists jobs that are about to disappear, so a job that is stored later with such an id is in no claim.
-- Parameters: $1 ids.
-- Rows: none.
-- Index: none; claims are few. `IS TRUE` makes a hash of the ids, whatever joins are allowed. A struck member leaves NULL in
--   its place, and a list of cancels, empty as it may be: a claim with one finishes no run the quick way, which would take
--   the missing row of a run that has ended for an open one.
WITH wanted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id),
listing AS MATERIALIZED (
    SELECT claims.nonce FROM gristmill.claims
    WHERE EXISTS (
        SELECT FROM unnest(claims.ids) AS member (id) WHERE (member.id IN (SELECT wanted.id FROM wanted)) IS TRUE)
    ORDER BY claims.nonce FOR UPDATE
)
UPDATE gristmill.claims SET
    ids = ARRAY(
        SELECT CASE WHEN (member.id IN (SELECT wanted.id FROM wanted)) IS NOT TRUE THEN member.id END
        FROM unnest(claims.ids) WITH ORDINALITY AS member (id, place) ORDER BY member.place),
    cancels = ARRAY(SELECT unnest(claims.cancels) EXCEPT SELECT wanted.id FROM wanted)
WHERE claims.nonce = ANY (ARRAY(SELECT listing.nonce FROM listing))
