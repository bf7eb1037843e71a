-- Purpose: locks claims as `lock_claims` does, except those that another transaction has locked.
-- Parameters: $1 the instant that replaces the clock (ms), or NULL; $2 nonces.
-- Rows: as of `lock_claims`. It never waits for a lock.
-- Index: the primary key of `claims`.
WITH locked AS MATERIALIZED (
    SELECT nonce, worker, fetched_at, cancels, CASE WHEN cancels IS NOT NULL THEN array_remove(ids, NULL) END
    FROM gristmill.claims
    WHERE nonce = ANY ($2::uuid[]) ORDER BY nonce FOR UPDATE SKIP LOCKED
)
SELECT gristmill.now_ms($1::int8), locked.* FROM (SELECT) AS one LEFT JOIN locked ON true
