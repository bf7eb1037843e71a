-- Purpose: the tables of the PostgreSQL floor, of which the design `delete` leaves `attempts` empty. Where a
--   job is
-- tells its state: `ready`, a claim, or `attempts`. Times are Unix milliseconds.

-- Insert-only. `id` is a UUID v7, so that new rows land on the last page of the key.
CREATE TABLE jobs (
    id           uuid PRIMARY KEY,
    created_at   bigint NOT NULL,
    run_at       bigint NOT NULL,
    timeout_ms   bigint,
    max_attempts smallint NOT NULL,
    priority     smallint NOT NULL,
    kind         text NOT NULL COLLATE "C",
    queue        text NOT NULL COLLATE "C",
    unique_key   bytea,
    tags         text[],
    meta         jsonb,
    args         bytea NOT NULL
);

-- What may be fetched, keyed in the order of fetching.
CREATE TABLE ready (
    run_at   bigint NOT NULL,
    id       uuid NOT NULL,
    run      integer NOT NULL,
    attempt  smallint NOT NULL,
    priority smallint NOT NULL,
    queue    text NOT NULL COLLATE "C",
    PRIMARY KEY (queue, priority, run_at, id)
);

-- One row a fetched batch. The arrays of a batch go out of line; compressing ids would find nothing to save.
CREATE TABLE claims (
    claim      bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    expires_at bigint NOT NULL,
    worker     text NOT NULL,
    ids        uuid[] NOT NULL
);
ALTER TABLE claims ALTER COLUMN ids SET STORAGE EXTERNAL;

-- History, append-only, one row a run.
CREATE TABLE attempts (
    id          uuid NOT NULL,
    started_at  bigint NOT NULL,
    finished_at bigint NOT NULL,
    run         integer NOT NULL,
    attempt     smallint NOT NULL,
    outcome     smallint NOT NULL,
    worker      text NOT NULL,
    error       text,
    output      jsonb,
    PRIMARY KEY (id, run)
);
