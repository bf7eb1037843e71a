-- Purpose: jobs disappear with all that belongs to them. Their rows in `ready` and `waiting` and their claims are the
--   caller's.
-- Parameters: $1 ids.
-- Rows: none.
-- Index: the primary keys; of `uniques` and `events` the index by id. The materialised list lets a partitioned table find
--   the one partition of each id.
WITH wanted AS MATERIALIZED (SELECT unnest($1::uuid[]) AS id),
gone_jobs AS (DELETE FROM gristmill.jobs USING wanted WHERE jobs.id = wanted.id),
gone_attempts AS (DELETE FROM gristmill.attempts USING wanted WHERE attempts.id = wanted.id),
gone_ended AS (DELETE FROM gristmill.ended USING wanted WHERE ended.id = wanted.id),
gone_uniques AS (DELETE FROM gristmill.uniques USING wanted WHERE uniques.id = wanted.id),
gone_events AS (DELETE FROM gristmill.events USING wanted WHERE events.id = wanted.id),
gone_records AS (DELETE FROM gristmill.records USING wanted WHERE records.id = wanted.id),
gone_logs AS (DELETE FROM gristmill.logs USING wanted WHERE logs.id = wanted.id)
DELETE FROM gristmill.retried USING wanted WHERE retried.id = wanted.id
