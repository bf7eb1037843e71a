-- Purpose: the latest checkpoint of a job.
-- Parameters: ?1 seq.
-- Rows: at most one: checkpoint.
-- Index: the primary key of `records`.
SELECT checkpoint FROM records WHERE seq = ?1 AND checkpoint IS NOT NULL ORDER BY run DESC LIMIT 1
