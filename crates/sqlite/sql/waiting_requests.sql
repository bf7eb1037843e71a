-- Purpose: the requests that wait to be applied: their number, the first of them, and whether a worker is
--   alive that applies them.
-- Parameters: ?1 now (ms).
-- Rows: one: how many; the number of the first, NULL where there is none; whether a worker is alive.
-- Index: requests_open, by name.
SELECT count(*), min(request), EXISTS (SELECT 1 FROM workers WHERE lease_expires_at > ?1)
FROM requests INDEXED BY requests_open WHERE fault IS NULL
