-- Purpose: lets go of dead rows, and marks pages in which every row is old, where jobs and runs are appended.
-- Parameters: none.
-- Rows: none.
-- Index: none.
VACUUM gristmill.jobs, gristmill.attempts
