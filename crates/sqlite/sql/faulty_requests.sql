-- Purpose: the requests that cannot be read: their number, and the first of them.
-- Parameters: none.
-- Rows: one: how many; request and fault of the first, NULL where there is none.
-- Index: requests_faulty, by name; few rows are in it. SQLite takes `fault` from the row of the minimum.
SELECT count(*), min(request), fault FROM requests INDEXED BY requests_faulty WHERE fault IS NOT NULL
