-- Purpose: the tables of the SQLite floor. A job's row is written once; where it is tells its state: `ready`,
--   a
-- claim, or `runs`. Times are Unix milliseconds.

-- Insert-only. `seq` orders jobs and is the key of every other table; `id` is the public id of a job.
CREATE TABLE jobs (
    seq          INTEGER PRIMARY KEY,
    id           BLOB NOT NULL UNIQUE,
    kind         TEXT NOT NULL,
    queue        TEXT NOT NULL,
    priority     INTEGER NOT NULL,
    run_at       INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    timeout_ms   INTEGER,
    unique_key   BLOB,
    tags         TEXT,
    meta         TEXT,
    args         BLOB NOT NULL
) STRICT;

-- What may be fetched, in the order of fetching.
CREATE TABLE ready (
    queue    TEXT NOT NULL,
    priority INTEGER NOT NULL,
    run_at   INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    attempt  INTEGER NOT NULL,
    PRIMARY KEY (queue, priority, run_at, seq)
) STRICT, WITHOUT ROWID;

-- One row a fetched batch; `jobs` is their `seq`, eight bytes each, little-endian.
CREATE TABLE claims (
    claim      INTEGER PRIMARY KEY,
    worker     TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    jobs       BLOB NOT NULL
) STRICT;

-- History, append-only, one row a run; `job_run` is `seq * 65536 + run`.
CREATE TABLE runs (
    job_run     INTEGER PRIMARY KEY,
    attempt     INTEGER NOT NULL,
    outcome     TEXT NOT NULL,
    started_at  INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    worker      TEXT NOT NULL,
    error       TEXT
) STRICT;
