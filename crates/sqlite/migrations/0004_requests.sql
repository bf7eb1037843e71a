-- Cancels, updates and deletes that callers' transactions have stored. `promote` applies them after the
-- commit, oldest first, and deletes the rows in the same transaction. AUTOINCREMENT: a number is never used
-- twice, so a receipt stays valid. `fault` says why a request cannot be applied; such a row stays until an
-- operator deletes it or sets `fault` to NULL.
CREATE TABLE requests (
    request INTEGER PRIMARY KEY AUTOINCREMENT,
    id      BLOB NOT NULL,
    verb    TEXT NOT NULL,
    patch   TEXT,
    actor   TEXT,
    fault   TEXT
) STRICT;
CREATE INDEX requests_open ON requests (request) WHERE fault IS NULL;
CREATE INDEX requests_faulty ON requests (request) WHERE fault IS NOT NULL;
