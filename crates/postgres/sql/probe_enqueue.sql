-- Purpose: stores a job by the function that is there for other programs, to see whether it works.
-- Parameters: $1 the job's queue, which is not there; $2 its kind.
-- Rows: one: the job's id.
-- Index: as that function's. The transaction is rolled back.
SELECT gristmill.enqueue($2::text, '{}'::jsonb, jsonb_build_object('queue', $1::text, 'unique_key', 'probe', 'tags', '["probe"]'::jsonb))
