-- Purpose: locks claims, so that no run of theirs ends but by this transaction, and reads the clock after
--   that.
-- Parameters: $1 the instant that replaces the clock (ms), or NULL; $2 nonces; $3 ids of jobs that may
--   disappear: other claims that list them are locked, too, since a later statement strikes the jobs out.
-- Rows: now (ms), nonce, worker, fetched_at (ms), the ids with a requested cancel, and, if a member may have
--   been struck out, the ids that are listed; one row with nothing but now if there is no claim. The last row
--   reads the clock after all locks.
-- Index: the primary key of `claims`, in the order of the nonces; all of `claims` for $3, where there is one.
WITH locked AS MATERIALIZED (
    SELECT nonce, worker, fetched_at, cancels, CASE WHEN cancels IS NOT NULL THEN array_remove(ids, NULL) END
    FROM gristmill.claims
    WHERE nonce = ANY (ARRAY(
        SELECT unnest($2::uuid[])
        UNION ALL
        SELECT unnest(gristmill.claims_listing($3::uuid[]))))
    ORDER BY nonce FOR UPDATE
)
SELECT gristmill.now_ms($1::int8), locked.* FROM (SELECT) AS one LEFT JOIN locked ON true
