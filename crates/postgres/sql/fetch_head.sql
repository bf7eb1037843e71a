-- Purpose: what a fetch returns beside the jobs.
-- Parameters: $1 now (ms) or NULL; $2 worker; $3 the claim's number; $4 queues; $5 the nonces of this fetch;
--   $6 only jobs due at this instant or later (ms).
-- Rows: one: now; until when the worker's leases hold (NULL: the worker is not registered); when the next
--   waiting job of any queue is due, or NULL; which of the queues are paused; whether the number has a claim
--   with another nonce.
-- Index: the primary keys of `workers` and `queues`, `waiting_due`, the unique index of `claims`. Not
--   `min(run_at)`: where the table looks empty, that is found by reading all of the index.
SELECT
    gristmill.now_ms($1::int8),
    (SELECT gristmill.lease_ends(lease_expires_at, lease_ms, $1) FROM gristmill.workers WHERE worker = $2::uuid),
    (SELECT run_at FROM gristmill.waiting
    WHERE state IN (1, 4) AND kind IS NULL AND run_at >= $6::int8 ORDER BY run_at, id LIMIT 1),
    ARRAY(SELECT queue FROM gristmill.queues WHERE queue = ANY ($4::int4[]) AND paused_at IS NOT NULL),
    EXISTS (SELECT FROM gristmill.claims WHERE worker = $2 AND number = $3::int8 AND nonce <> ALL ($5::uuid[]))
