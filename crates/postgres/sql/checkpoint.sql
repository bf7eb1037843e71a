-- Purpose: the latest checkpoint of a job.
-- Parameters: $1 id.
-- Rows: at most one: checkpoint.
-- Index: the primary key of `records`.
SELECT checkpoint FROM gristmill.records
WHERE id = $1::uuid AND checkpoint IS NOT NULL
ORDER BY run DESC LIMIT 1
