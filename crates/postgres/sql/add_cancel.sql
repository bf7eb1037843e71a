-- Purpose: stores a request to cancel a job, which is applied after the commit.
-- Parameters: $1 the job's id.
-- Rows: its number.
-- Index: none.
INSERT INTO gristmill.requests (id, verb) VALUES ($1::uuid, 'cancel') RETURNING request
