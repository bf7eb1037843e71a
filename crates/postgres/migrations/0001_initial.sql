-- The first schema. Instants are milliseconds since 1970-01-01T00:00:00Z. States and endings are the numbers of
-- `JobState::index` and `Ending::index`. The schema's name is replaced where another one was chosen.
--
-- Where a job is tells its state, and it is in exactly one place: a row of `ready` (available), a row of `waiting`
-- (suspended, scheduled, retryable), a claim that lists its id as long as no row of `attempts` has the run (running), a
-- row of `ended` (cancelled, discarded), or none of them and a latest run that completed after the last retry by hand
-- (completed).

-- A queue is never forgotten, so what a process knows of its number stays true.
CREATE TABLE gristmill.queues (
    queue        integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name         text COLLATE "C" NOT NULL UNIQUE,
    paused_at    bigint,
    pause_reason text,
    paused_by    text
);

-- Written once, apart from an operator's update. `options` is what few jobs have, as JSON: unique key, timeout, retry,
-- retention, tags, metadata; NULL for none. With eight columns the bitmap of NULLs costs no row a byte.
CREATE TABLE gristmill.jobs (
    id           uuid     NOT NULL,
    created_at   bigint   NOT NULL,
    queue        integer  NOT NULL,
    max_attempts integer  NOT NULL,
    priority     smallint NOT NULL,
    kind         text COLLATE "C" NOT NULL,
    options      text,
    args         bytea    NOT NULL,
    PRIMARY KEY (id)
) PARTITION BY RANGE (id);
CREATE TABLE gristmill.jobs_default PARTITION OF gristmill.jobs DEFAULT;

-- What may be fetched. `ready_order` is the order of fetching; the primary key is for operators.
CREATE TABLE gristmill.ready (
    id       uuid     NOT NULL PRIMARY KEY,
    run_at   bigint   NOT NULL,
    queue    integer  NOT NULL,
    run      integer  NOT NULL,
    attempt  integer  NOT NULL,
    priority smallint NOT NULL,
    crashes  smallint NOT NULL,
    reason   text
) WITH (fillfactor = 100, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX ready_order ON gristmill.ready (queue, priority, run_at, id);

CREATE TABLE gristmill.waiting (
    id       uuid     NOT NULL PRIMARY KEY,
    run_at   bigint   NOT NULL,
    queue    integer  NOT NULL,
    run      integer  NOT NULL,
    attempt  integer  NOT NULL,
    priority smallint NOT NULL,
    crashes  smallint NOT NULL,
    state    smallint NOT NULL,
    reason   text
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
-- 1 is scheduled, 4 retryable: suspended jobs are due at no time.
CREATE INDEX waiting_due ON gristmill.waiting (run_at, id) WHERE state IN (1, 4);
-- Jobs without a handler: found by workers that start.
CREATE INDEX waiting_reason ON gristmill.waiting (reason) WHERE reason IS NOT NULL;

-- One row for each queue of a fetched batch, until each of its runs has ended. `nonce` is the secret part of the leases;
-- `number` the worker's own number of the fetch. `open` counts the members whose run has not ended. The arrays list the
-- members, one place a job; `cancels` the ids whose cancel was asked for while they ran. Whoever ends a run holds the lock
-- of this row: it decides between a finish and a rescue.
CREATE TABLE gristmill.claims (
    nonce      uuid     NOT NULL PRIMARY KEY,
    worker     uuid     NOT NULL,
    number     bigint   NOT NULL,
    fetched_at bigint   NOT NULL,
    queue      integer  NOT NULL,
    open       integer  NOT NULL,
    ids        uuid[]     NOT NULL,
    run_ats    bigint[]   NOT NULL,
    runs       integer[]  NOT NULL,
    attempts   integer[]  NOT NULL,
    priorities smallint[] NOT NULL,
    crashes    smallint[] NOT NULL,
    cancels    uuid[],
    UNIQUE (worker, number, queue)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
-- Ids do not compress; trying to costs more than the bytes. The other arrays are mostly of one value, and do.
ALTER TABLE gristmill.claims ALTER COLUMN ids SET STORAGE EXTERNAL;

-- The timeline, append-only: one row an ended run. `ended_by` is 0 for the worker, 1 for a rescue, 2 for a claim that was
-- given back; `token` the lower 32 bits of the claim's nonce, to recognise a repeated finish after the claim is gone.
CREATE TABLE gristmill.attempts (
    id          uuid     NOT NULL,
    worker      uuid     NOT NULL,
    fetched_at  bigint   NOT NULL,
    finished_at bigint   NOT NULL,
    run_at      bigint   NOT NULL,
    started_at  bigint,
    run         integer  NOT NULL,
    attempt     integer  NOT NULL,
    token       integer  NOT NULL,
    ending      smallint NOT NULL,
    state       smallint NOT NULL,
    ended_by    smallint NOT NULL,
    reason      text,
    error       text,
    backtrace   text,
    output      bytea,
    PRIMARY KEY (id, run)
) PARTITION BY RANGE (id);
CREATE TABLE gristmill.attempts_default PARTITION OF gristmill.attempts DEFAULT;

-- Jobs that ended otherwise than completed. `delete_at` is when their retention passes.
CREATE TABLE gristmill.ended (
    id          uuid     NOT NULL PRIMARY KEY,
    finished_at bigint   NOT NULL,
    delete_at   bigint   NOT NULL,
    queue       integer  NOT NULL,
    run         integer  NOT NULL,
    attempt     integer  NOT NULL,
    priority    smallint NOT NULL,
    crashes     smallint NOT NULL,
    state       smallint NOT NULL,
    run_at      bigint   NOT NULL,
    reason      text
);
CREATE INDEX ended_delete ON gristmill.ended (delete_at);
CREATE INDEX ended_state ON gristmill.ended (state, id);

-- Completed jobs that do not go with their partition, because their own retention says otherwise or they ended late: when
-- each is deleted. A hint for the pruner: the job may have been retried or deleted since.
CREATE TABLE gristmill.expiries (
    delete_at bigint NOT NULL,
    id        uuid   NOT NULL,
    PRIMARY KEY (delete_at, id)
);

-- Jobs that were retried by hand after they had completed, and their latest run before: an earlier completed run no longer
-- tells the state.
CREATE TABLE gristmill.retried (
    id  uuid    NOT NULL PRIMARY KEY,
    run integer NOT NULL
);

CREATE TABLE gristmill.uniques (
    queue integer NOT NULL,
    key   bytea   NOT NULL,
    id    uuid    NOT NULL,
    PRIMARY KEY (queue, key)
);
CREATE INDEX uniques_id ON gristmill.uniques (id);

-- Numbers that cannot be counted cheaply, as changes to be summed: jobs that completed, finishes that came too late.
-- Maintenance folds the rows.
CREATE TABLE gristmill.tallies (
    completed bigint  NOT NULL,
    stale     bigint  NOT NULL,
    queue     integer NOT NULL
);

-- One narrow row a worker; a renewal changes no indexed column, so the row stays on its page.
CREATE TABLE gristmill.workers (
    worker           uuid    NOT NULL PRIMARY KEY,
    started_at       bigint  NOT NULL,
    heartbeat_at     bigint  NOT NULL,
    lease_expires_at bigint  NOT NULL,
    lease_ms         bigint  NOT NULL,
    slots            bigint  NOT NULL,
    label            text    NOT NULL,
    queues           text    NOT NULL,
    kinds            text    NOT NULL
) WITH (fillfactor = 30, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);

-- What happened to a job outside its leases.
CREATE TABLE gristmill.events (
    event  bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id     uuid   NOT NULL,
    at     bigint NOT NULL,
    what   text   NOT NULL,
    actor  text,
    detail text
);
CREATE INDEX events_job ON gristmill.events (id, event);

-- What running attempts recorded.
CREATE TABLE gristmill.records (
    id         uuid     NOT NULL,
    run        integer  NOT NULL,
    progress   smallint,
    checkpoint bytea,
    PRIMARY KEY (id, run)
) PARTITION BY RANGE (id);
CREATE TABLE gristmill.records_default PARTITION OF gristmill.records DEFAULT;

CREATE TABLE gristmill.logs (
    id   uuid    NOT NULL,
    run  integer NOT NULL,
    line integer NOT NULL,
    at   bigint  NOT NULL,
    text text    NOT NULL,
    PRIMARY KEY (id, run, line)
) PARTITION BY RANGE (id);
CREATE TABLE gristmill.logs_default PARTITION OF gristmill.logs DEFAULT;

-- The store's clock, unless a test gives the time.
CREATE FUNCTION gristmill.now_ms(given bigint) RETURNS bigint
    LANGUAGE sql VOLATILE PARALLEL SAFE
    AS 'SELECT coalesce(given, floor(extract(epoch FROM clock_timestamp()) * 1000)::bigint)';

-- When a worker's lease ends. A server that was just started gives every worker its full lease anew: while it was down
-- nobody could renew. Tests that give the time are exempt.
CREATE FUNCTION gristmill.lease_ends(lease_expires_at bigint, lease_ms bigint, given_now bigint) RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    AS 'SELECT CASE WHEN given_now IS NULL
        THEN greatest(lease_expires_at,
            floor(extract(epoch FROM pg_postmaster_start_time()) * 1000)::bigint + lease_ms)
        ELSE lease_expires_at END';
