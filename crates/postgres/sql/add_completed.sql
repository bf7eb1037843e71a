-- Purpose: counts jobs that completed, or, with -1, completed ones that are gone.
-- Parameters: $1 the queue of each; $2 what each counts.
-- Rows: none.
-- Index: none; a row is appended for each queue.
INSERT INTO gristmill.tallies (completed, stale, queue)
SELECT count(*) * $2::int8, 0, counted.queue FROM unnest($1::int4[]) AS counted (queue) GROUP BY counted.queue
