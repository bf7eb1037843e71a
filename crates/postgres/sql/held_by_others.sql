-- Purpose: which claims and jobs other transactions have locked at this moment.
-- Parameters: $1 nonces; $2 ids.
-- Rows: nonce or id. It never waits for a lock, and it releases its own locks when it ends.
-- Index: the primary keys.
WITH claim AS MATERIALIZED (SELECT claims.nonce FROM gristmill.claims WHERE claims.nonce = ANY ($1::uuid[])),
free_claim AS MATERIALIZED (
    SELECT claims.nonce FROM gristmill.claims WHERE claims.nonce = ANY ($1) FOR UPDATE SKIP LOCKED
),
job AS MATERIALIZED (SELECT jobs.id FROM gristmill.jobs WHERE jobs.id = ANY ($2::uuid[])),
free_job AS MATERIALIZED (
    SELECT jobs.id FROM gristmill.jobs WHERE jobs.id = ANY ($2) FOR NO KEY UPDATE SKIP LOCKED
)
SELECT claim.nonce FROM claim WHERE (claim.nonce IN (SELECT free_claim.nonce FROM free_claim)) IS NOT TRUE
UNION ALL
SELECT job.id FROM job WHERE (job.id IN (SELECT free_job.id FROM free_job)) IS NOT TRUE
