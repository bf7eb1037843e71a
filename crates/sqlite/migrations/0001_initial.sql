-- The first schema. Instants are milliseconds since 1970-01-01T00:00:00Z. States and endings are the numbers
-- of `JobState::index` and `Ending::index`.
--
-- Where a job is tells its state, and it is in exactly one place: a row of `ready` (available), a row of
-- `waiting` (suspended, scheduled, retryable), a claim that lists it as long as no row of `runs` has its run
-- (running), a row of `ended` (cancelled, discarded), or none of them and a latest run that completed
-- (completed).

-- Numbers of the whole store: `next_seq`, the seq of the next job, never used twice; `stale_finishes`.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta (name, value) VALUES ('next_seq', 1), ('stale_finishes', 0);

CREATE TABLE queues (
    queue        INTEGER PRIMARY KEY,
    name         TEXT NOT NULL UNIQUE,
    paused_at    INTEGER,
    pause_reason TEXT,
    paused_by    TEXT
) STRICT;

-- Written once on the happy path. `run_at` and `priority` always equal those of the job's row in `ready` or
-- `waiting`, so that row is found from here without an index of its own. `retried_run` is the latest run
-- before the last retry by hand: only a later completed run means that the job is completed. `has_options`
-- says whether any of the columns from `unique_key` to `metadata` is set: few jobs have one, and looking at
-- each costs every fetch.
CREATE TABLE jobs (
    seq          INTEGER PRIMARY KEY,
    id           BLOB NOT NULL UNIQUE,
    kind         TEXT NOT NULL,
    queue        INTEGER NOT NULL,
    priority     INTEGER NOT NULL,
    run_at       INTEGER NOT NULL,
    created_at   INTEGER NOT NULL,
    max_attempts INTEGER NOT NULL,
    retried_run  INTEGER NOT NULL DEFAULT 0,
    has_options  INTEGER NOT NULL DEFAULT 0,
    unique_key   TEXT,
    timeout_ms   INTEGER,
    retry        TEXT,
    retention    TEXT,
    tags         TEXT,
    metadata     TEXT,
    args         BLOB NOT NULL
) STRICT;

-- What may be fetched, in the order of fetching.
CREATE TABLE ready (
    queue    INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    run_at   INTEGER NOT NULL,
    seq      INTEGER NOT NULL,
    run      INTEGER NOT NULL,
    attempt  INTEGER NOT NULL,
    crashes  INTEGER NOT NULL,
    reason   TEXT,
    PRIMARY KEY (queue, priority, run_at, seq)
) STRICT, WITHOUT ROWID;

-- A job is parked when a worker met it that has no handler for its kind. Then `kind` is set, and `queue` and
-- `priority` are those of the job; of other rows all three are NULL.
CREATE TABLE waiting (
    seq      INTEGER PRIMARY KEY,
    state    INTEGER NOT NULL,
    run_at   INTEGER NOT NULL,
    run      INTEGER NOT NULL,
    attempt  INTEGER NOT NULL,
    crashes  INTEGER NOT NULL,
    reason   TEXT,
    queue    INTEGER,
    kind     TEXT,
    priority INTEGER
) STRICT;
-- 1 is scheduled, 4 retryable: suspended and parked jobs are due at no time.
CREATE INDEX waiting_due ON waiting (run_at) WHERE state IN (1, 4) AND kind IS NULL;
-- The order in which parked jobs of a kind are fetched; the seq stands behind it by itself.
CREATE INDEX waiting_parked ON waiting (queue, kind, priority, run_at) WHERE kind IS NOT NULL;
CREATE INDEX waiting_state ON waiting (state);

-- One row a fetched batch, until each of its runs has ended. `members` holds 16 bytes a job, little-endian:
-- seq (8), run (4), attempt (2), crashes (2). `open` counts the members whose run has not ended; `pruned` is
-- 1 when the job of an ended run may have been deleted, so that a finish has to look.
CREATE TABLE claims (
    claim      INTEGER PRIMARY KEY,
    worker     BLOB NOT NULL,
    number     INTEGER NOT NULL,
    nonce      BLOB NOT NULL,
    fetched_at INTEGER NOT NULL,
    open       INTEGER NOT NULL,
    pruned     INTEGER NOT NULL,
    members    BLOB NOT NULL,
    UNIQUE (worker, number)
) STRICT;

-- The timeline, append-only: one row an ended run; the arbiter of who ended it. `token` is the lower half of
-- the claim's nonce, `ended_by` 0 for the worker, 1 for a rescue, 2 for a claim that was given back.
-- `run_key` is the job's seq times 2^22 (4,194,304) plus the run: one integer is found and appended faster
-- than a pair in a WITHOUT ROWID table, by a sixth of a whole drain.
CREATE TABLE runs (
    run_key     INTEGER PRIMARY KEY,
    attempt     INTEGER NOT NULL,
    ending      INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    token       INTEGER NOT NULL,
    ended_by    INTEGER NOT NULL,
    worker      BLOB NOT NULL,
    fetched_at  INTEGER NOT NULL,
    started_at  INTEGER,
    finished_at INTEGER NOT NULL,
    reason      TEXT,
    error       TEXT,
    backtrace   TEXT,
    output      BLOB
) STRICT;

-- Jobs that ended otherwise than completed.
CREATE TABLE ended (
    seq         INTEGER PRIMARY KEY,
    state       INTEGER NOT NULL,
    run         INTEGER NOT NULL,
    attempt     INTEGER NOT NULL,
    crashes     INTEGER NOT NULL,
    finished_at INTEGER NOT NULL,
    reason      TEXT
) STRICT;
CREATE INDEX ended_state ON ended (state);

-- When the retention of ended jobs passes: one row a group of finishes; `seqs` holds 8 bytes a job,
-- little-endian. A hint for the pruner: what is there may have been retried or deleted since.
CREATE TABLE expiries (
    expiry    INTEGER PRIMARY KEY,
    delete_at INTEGER NOT NULL,
    seqs      BLOB NOT NULL
) STRICT;
CREATE INDEX expiries_due ON expiries (delete_at);

CREATE TABLE uniques (
    queue INTEGER NOT NULL,
    key   TEXT NOT NULL,
    seq   INTEGER NOT NULL,
    PRIMARY KEY (queue, key)
) STRICT, WITHOUT ROWID;

-- Jobs by queue and state, kept by every transaction that moves one.
CREATE TABLE counts (
    queue  INTEGER NOT NULL,
    state  INTEGER NOT NULL,
    amount INTEGER NOT NULL,
    PRIMARY KEY (queue, state)
) STRICT, WITHOUT ROWID;

CREATE TABLE workers (
    worker           BLOB PRIMARY KEY,
    label            TEXT NOT NULL,
    started_at       INTEGER NOT NULL,
    heartbeat_at     INTEGER NOT NULL,
    lease_expires_at INTEGER NOT NULL,
    lease_ms         INTEGER NOT NULL,
    slots            INTEGER NOT NULL,
    queues           TEXT NOT NULL,
    kinds            TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- Cancels asked for while the run was under way.
CREATE TABLE cancels (
    seq    INTEGER NOT NULL,
    run    INTEGER NOT NULL,
    worker BLOB NOT NULL,
    PRIMARY KEY (seq, run)
) STRICT, WITHOUT ROWID;

-- What happened to a job outside its leases.
CREATE TABLE events (
    event  INTEGER PRIMARY KEY,
    seq    INTEGER NOT NULL,
    at     INTEGER NOT NULL,
    what   TEXT NOT NULL,
    actor  TEXT,
    detail TEXT
) STRICT;
CREATE INDEX events_job ON events (seq);

-- What running attempts recorded.
CREATE TABLE records (
    seq        INTEGER NOT NULL,
    run        INTEGER NOT NULL,
    progress   INTEGER,
    checkpoint BLOB,
    PRIMARY KEY (seq, run)
) STRICT, WITHOUT ROWID;

CREATE TABLE logs (
    seq  INTEGER NOT NULL,
    run  INTEGER NOT NULL,
    line INTEGER NOT NULL,
    at   INTEGER NOT NULL,
    text TEXT NOT NULL,
    PRIMARY KEY (seq, run, line)
) STRICT, WITHOUT ROWID;
