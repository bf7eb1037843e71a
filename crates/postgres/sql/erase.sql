-- Purpose: jobs disappear with all that belongs to them. Their rows in `ready` and `waiting` and their claims are the
--   caller's.
-- Parameters: $1 ids.
-- Rows: none.
-- Index: the primary keys, in every partition; of `uniques` and `events` the index by id. Not joined to a list of the ids:
--   the plan of a table that was empty once may turn such a join round, and read all of it.
WITH gone_jobs AS (DELETE FROM gristmill.jobs WHERE id = ANY ($1::uuid[])),
gone_attempts AS (DELETE FROM gristmill.attempts WHERE id = ANY ($1)),
gone_ended AS (DELETE FROM gristmill.ended WHERE id = ANY ($1)),
gone_uniques AS (DELETE FROM gristmill.uniques WHERE id = ANY ($1)),
gone_events AS (DELETE FROM gristmill.events WHERE id = ANY ($1)),
gone_records AS (DELETE FROM gristmill.records WHERE id = ANY ($1)),
gone_logs AS (DELETE FROM gristmill.logs WHERE id = ANY ($1))
DELETE FROM gristmill.retried WHERE id = ANY ($1)
