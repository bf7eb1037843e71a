-- The first schema. Instants are milliseconds since 1970-01-01T00:00:00Z. States and endings are the numbers
-- of `JobState::index` and `Ending::index`. The schema's name is replaced where another one was chosen.
--
-- Where a job is tells its state, and it is in exactly one place: a row of `ready` (available), a row of
-- `waiting` (suspended, scheduled, retryable), a claim that lists its id as long as no row of `attempts` has
-- the run (running), a row of `ended` (cancelled, discarded), or none of them and a latest run that completed
-- after the last retry by hand (completed).

-- Which store this is: one row, made with the schema. A process that finds another one than before forgets
-- all it knows.
CREATE TABLE gristmill.store (
    identity uuid NOT NULL PRIMARY KEY
);
INSERT INTO gristmill.store VALUES (gen_random_uuid());

-- A queue is never forgotten, so what a process knows of its number stays true. The number follows from the
-- name, see `queue_number`: transactions which use a new queue at the same time need not wait for each other,
-- and after the store was dropped and made anew, or restored from an older dump, a number from before names
-- no other queue.
CREATE TABLE gristmill.queues (
    queue        integer NOT NULL PRIMARY KEY DEFAULT floor(random() * 2147483647)::integer + 1,
    name         text COLLATE "C" NOT NULL UNIQUE,
    paused_at    bigint,
    pause_reason text,
    paused_by    text
);
CREATE INDEX queues_paused ON gristmill.queues (queue) WHERE paused_at IS NOT NULL;
-- The queues that an open transaction is the first to use. Each transaction sees its own rows alone: at its
-- commit they move to `queues`, whose rows would else keep others waiting until then.
CREATE TABLE gristmill.new_queues (
    use   bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    queue integer NOT NULL,
    name  text COLLATE "C" NOT NULL
);

-- Written once, apart from an operator's update. `options` is what few jobs have, as JSON: unique key,
-- timeout, retry, retention, tags, metadata; NULL for none. With eight columns the bitmap of NULLs costs no
-- row a byte.
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
-- Statistics of a moment without jobs make this index look as cheap for an id alone as the primary key, and
-- then all of it is read for each. The condition, which is always true, is why it serves only what asks for a
-- queue.
CREATE INDEX ready_order ON gristmill.ready (queue, priority, run_at, id) WHERE queue IS NOT NULL;

-- A job is parked when a worker met it that has no handler for its kind: `kind` is set, and NULL in other
-- rows.
CREATE TABLE gristmill.waiting (
    id       uuid     NOT NULL PRIMARY KEY,
    run_at   bigint   NOT NULL,
    queue    integer  NOT NULL,
    run      integer  NOT NULL,
    attempt  integer  NOT NULL,
    priority smallint NOT NULL,
    crashes  smallint NOT NULL,
    state    smallint NOT NULL,
    reason   text,
    kind     text COLLATE "C"
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
-- 1 is scheduled, 4 retryable: suspended and parked jobs are due at no time.
CREATE INDEX waiting_due ON gristmill.waiting (run_at, id) WHERE state IN (1, 4) AND kind IS NULL;
-- The order in which parked jobs of a kind are fetched.
CREATE INDEX waiting_parked ON gristmill.waiting (queue, kind, priority, run_at, id) WHERE kind IS NOT NULL;

-- One row for each queue of a fetched batch, until each of its runs has ended. `nonce` is the secret part of
-- the leases; `number` the worker's own number of the fetch. `open` counts the members whose run has not
-- ended. The arrays list the members, one place a job; a job that was erased has left NULL in its place of
-- `ids`, so that one with the same id that is stored later is no member. `cancels` lists the ids whose cancel
-- was requested while they ran; it is not NULL where a member was struck out. Every transaction that ends a
-- run first locks this row, so a finish and a rescue cannot both win.
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

-- The timeline, append-only: one row an ended run. `ended_by` is 0 for the worker, 1 for a rescue, 2 for a
-- claim that was given back; `token` the lower 32 bits of the claim's nonce, to recognise a repeated finish
-- after the claim is gone.
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
-- The condition is always true: see `ready_order`.
CREATE INDEX ended_delete ON gristmill.ended (delete_at, id) WHERE delete_at IS NOT NULL;
-- A state that is unknown counts as discarded. The condition is always true: see `ready_order`.
CREATE INDEX ended_state ON gristmill.ended ((CASE WHEN state = 6 THEN 6 ELSE 7 END), id)
    WHERE CASE WHEN state = 6 THEN 6 ELSE 7 END IS NOT NULL;

-- Completed jobs that do not go with their partition, because their own retention says otherwise or they
-- ended late: when each is deleted. A hint for the pruner: the job may have been retried or deleted since.
CREATE TABLE gristmill.expiries (
    delete_at bigint NOT NULL,
    id        uuid   NOT NULL,
    PRIMARY KEY (delete_at, id)
);

-- Jobs that were retried by hand after they had completed, and their latest run before: an earlier completed
-- run no longer tells the state.
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

-- Numbers that cannot be counted cheaply, as changes to be summed: jobs that completed, finishes that came
-- too late. Maintenance folds the rows.
CREATE TABLE gristmill.tallies (
    completed bigint  NOT NULL,
    stale     bigint  NOT NULL,
    queue     integer NOT NULL,
    tally     bigint  GENERATED ALWAYS AS IDENTITY PRIMARY KEY
);

-- When each step of maintenance last succeeded or failed (ms), and why it failed last, NULL since it
-- succeeded again; how long the tables were locked by the longest drop of a partition (ms).
CREATE TABLE gristmill.steps (
    step         text   NOT NULL PRIMARY KEY,
    succeeded_at bigint,
    failed_at    bigint,
    error        text,
    longest_ms   bigint
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
-- The condition is always true: see `ready_order`.
CREATE INDEX events_job ON gristmill.events (id, event) WHERE id IS NOT NULL;

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

-- The number of a queue that is not there yet: a hash of its name; where another queue has that, the next
-- one.
CREATE FUNCTION gristmill.queue_number(new_name text) RETURNS integer
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
    AS $gristmill_function$
DECLARE
    number integer;
BEGIN
    FOR seed IN 0..99 LOOP
        number := hashtextextended(new_name COLLATE "C", seed) & 2147483647;
        IF NOT EXISTS (SELECT FROM gristmill.queues WHERE queues.queue = number AND queues.name <> new_name)
            AND NOT EXISTS (SELECT FROM gristmill.new_queues WHERE new_queues.queue = number AND new_queues.name <> new_name)
        THEN
            RETURN number;
        END IF;
    END LOOP;
    RAISE program_limit_exceeded USING MESSAGE = format('no number is left for the queue `%s`', new_name);
END
$gristmill_function$;

-- Makes the queues known that this transaction was the first to use. The first row's trigger moves all of
-- them, in the order of their names, so that two commits do not block each other crosswise.
CREATE FUNCTION gristmill.name_queues() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
BEGIN
    INSERT INTO gristmill.queues (queue, name)
        SELECT DISTINCT new_queues.queue, new_queues.name FROM gristmill.new_queues ORDER BY new_queues.name
        ON CONFLICT DO NOTHING;
    IF EXISTS (SELECT FROM gristmill.new_queues WHERE NOT EXISTS (
            SELECT FROM gristmill.queues WHERE queues.queue = new_queues.queue AND queues.name = new_queues.name)) THEN
        RAISE serialization_failure USING MESSAGE = 'another transaction has given the number of a new queue to another one',
            HINT = 'Repeat the transaction.';
    END IF;
    DELETE FROM gristmill.new_queues;
    RETURN NULL;
END
$gristmill_function$;
CREATE CONSTRAINT TRIGGER name_queues AFTER INSERT ON gristmill.new_queues DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION gristmill.name_queues();

-- When a worker's lease ends (ms). After a start of the server every worker has its full lease again, because
-- no worker could renew while the server was down. Calls that pass their own time, as tests do, are exempt.
CREATE FUNCTION gristmill.lease_ends(lease_expires_at bigint, lease_ms bigint, given_now bigint) RETURNS bigint
    LANGUAGE sql STABLE PARALLEL SAFE
    AS 'SELECT CASE WHEN given_now IS NULL
        THEN greatest(lease_expires_at,
            floor(extract(epoch FROM pg_postmaster_start_time()) * 1000)::bigint + least(lease_ms, 253402207200000))
        ELSE lease_expires_at END';

-- The key of the advisory lock by which a worker is kept or forgotten.
CREATE FUNCTION gristmill.worker_lock(worker uuid) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS 'SELECT hashtextextended(''gristmill worker '' || worker::text, 0)';

-- Keeps a worker from being forgotten until the transaction ends; the worker, or NULL when it is not known or
-- its lease has ended. That is read by a statement of its own, which begins once the lock is held. It is no
-- lock of the worker's row: fetches side by side would share it, and for each group that shares a row's lock
-- the server uses up a number (a multixact). Only where the isolation is stricter, so that the statement sees
-- no more than the one around it, the row is locked, too.
CREATE FUNCTION gristmill.keep_worker(wanted uuid, given_now bigint) RETURNS uuid
    LANGUAGE plpgsql VOLATILE
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
    AS $gristmill_function$
DECLARE
    kept uuid;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(gristmill.worker_lock(wanted));
    SELECT workers.worker INTO kept FROM gristmill.workers
        WHERE workers.worker = wanted
            AND gristmill.lease_ends(workers.lease_expires_at, workers.lease_ms, given_now) > gristmill.now_ms(given_now);
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        PERFORM FROM gristmill.workers WHERE workers.worker = kept FOR KEY SHARE;
    END IF;
    RETURN kept;
END
$gristmill_function$;

-- The claims that list any of these jobs. Claims are few, and all of them are read: no fetch keeps an index
-- by job. `IS TRUE` makes a hash of the ids, whatever joins are allowed.
CREATE FUNCTION gristmill.claims_listing(wanted uuid[]) RETURNS uuid[]
    LANGUAGE plpgsql STABLE
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
    AS $gristmill_function$
BEGIN
    IF wanted = '{}' THEN
        RETURN '{}';
    END IF;
    RETURN ARRAY(
        SELECT claims.nonce FROM gristmill.claims
        WHERE EXISTS (SELECT FROM unnest(claims.ids) AS member (id) WHERE (member.id IN (SELECT unnest(wanted))) IS TRUE));
END
$gristmill_function$;

-- No claim lists jobs that are about to disappear, so a job that is stored later with such an id is in no
-- claim. The caller says which claims may list them: those that its own statement saw. A look from here would
-- also find a claim that a fetch has made since, and whose run would go on unlisted. A struck member leaves
-- NULL in its place, and a list of cancels, empty as it may be: a claim with one finishes no run the quick
-- way, which would take the missing row of a run that has ended for an open one. Claims are locked in the
-- order of their nonces; a transaction that changes others, too, locks all of them before it changes the
-- first.
CREATE FUNCTION gristmill.strike(gone uuid[], among uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
    AS $gristmill_function$
BEGIN
    IF gone = '{}' OR among = '{}' THEN
        RETURN;
    END IF;
    PERFORM FROM gristmill.claims WHERE claims.nonce = ANY (among) ORDER BY claims.nonce FOR UPDATE;
    UPDATE gristmill.claims SET
        ids = ARRAY(
            SELECT CASE WHEN (member.id IN (SELECT unnest(gone))) IS NOT TRUE THEN member.id END
            FROM unnest(claims.ids) WITH ORDINALITY AS member (id, place) ORDER BY member.place),
        cancels = ARRAY(SELECT unnest(claims.cancels) EXCEPT SELECT unnest(gone))
    WHERE claims.nonce = ANY (among)
        AND EXISTS (SELECT FROM unnest(claims.ids) AS member (id) WHERE (member.id IN (SELECT unnest(gone))) IS TRUE);
END
$gristmill_function$;

-- Jobs disappear with all that belongs to them. Their rows in `ready` and `waiting` and their claims are the
-- caller's. The plan is made for the ids, so only the partitions they lie in are locked.
CREATE FUNCTION gristmill.erase(gone uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_custom_plan SET jit = off
    AS $gristmill_function$
BEGIN
    DELETE FROM gristmill.jobs WHERE id = ANY (gone);
    DELETE FROM gristmill.attempts WHERE id = ANY (gone);
    DELETE FROM gristmill.ended WHERE id = ANY (gone);
    DELETE FROM gristmill.uniques WHERE id = ANY (gone);
    DELETE FROM gristmill.events WHERE id = ANY (gone);
    DELETE FROM gristmill.records WHERE id = ANY (gone);
    DELETE FROM gristmill.logs WHERE id = ANY (gone);
    DELETE FROM gristmill.retried WHERE id = ANY (gone);
END
$gristmill_function$;

-- Partitions. `jobs`, `attempts`, `records` and `logs` have the same ones, each of a span of time in which
-- its jobs were made, and a DEFAULT one for what lies outside of them. The functions below run with the
-- rights of the role that migrated, so that workers need none to create or drop a table; they drop nothing
-- but what the default retention has passed, by the server's own clock. They wait only briefly for a lock,
-- because every later statement on the table queues behind a transaction that waits for an exclusive lock.

-- The first id of an instant (ms).
CREATE FUNCTION gristmill.first_id(at bigint) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS 'SELECT (lpad(to_hex(at), 12, ''0'') || repeat(''0'', 20))::uuid';

-- The instant of an id (ms).
CREATE FUNCTION gristmill.made_at(id uuid) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS 'SELECT (''x'' || left(replace(id::text, ''-'', ''''), 12))::bit(48)::bigint';

-- The spans for which each of the four tables has its partition, in order.
CREATE FUNCTION gristmill.partitions() RETURNS TABLE (from_ms bigint, to_ms bigint)
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
SELECT gristmill.made_at(span[1]::uuid), gristmill.made_at(span[2]::uuid)
FROM pg_inherits JOIN pg_class ON pg_class.oid = pg_inherits.inhrelid
    CROSS JOIN LATERAL regexp_match(pg_get_expr(pg_class.relpartbound, pg_class.oid),
        'FROM \(''([-0-9a-f]+)''\) TO \(''([-0-9a-f]+)''\)') AS span
WHERE pg_inherits.inhparent IN (
        SELECT typrelid FROM pg_type WHERE pg_type.oid IN (pg_typeof(NULL::gristmill.jobs),
            pg_typeof(NULL::gristmill.attempts), pg_typeof(NULL::gristmill.records), pg_typeof(NULL::gristmill.logs)))
    AND span IS NOT NULL
GROUP BY 1, 2 HAVING count(*) = 4 ORDER BY 1
$gristmill_function$;

-- Makes the partition of one of the four tables for a span of time (ms), and says `made`, `there`, `enough`
-- when there are 16 already, `full` when DEFAULT holds more than `most` rows of the span, or `locked`. Rows
-- of the span in DEFAULT are moved. DEFAULT is locked meanwhile, and read once.
CREATE FUNCTION gristmill.make_partition(part text, from_ms bigint, to_ms bigint, most bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' SET jit = off SET enable_seqscan = on SET plan_cache_mode = auto
    AS $gristmill_function$
DECLARE
    home name := (SELECT nspname FROM pg_type JOIN pg_namespace ON pg_namespace.oid = typnamespace
        WHERE pg_type.oid = pg_typeof(NULL::gristmill.jobs));
    made text := part || '_p' || from_ms;
    is_full boolean;
BEGIN
    IF part NOT IN ('jobs', 'attempts', 'records', 'logs') OR from_ms < 0 OR to_ms <= from_ms THEN
        RAISE invalid_parameter_value USING MESSAGE = 'no table or no span of time';
    END IF;
    IF to_regclass(format('%I.%I', home, made)) IS NOT NULL THEN
        RETURN 'there';
    END IF;
    -- Each statement that looks for ids locks every partition: the number of partitions bounds how many
    -- transactions fit the lock table of the server.
    IF (SELECT count(*) FROM pg_inherits WHERE inhparent = to_regclass(format('%I.%I', home, part))) > 16 THEN
        RETURN 'enough';
    END IF;
    EXECUTE format('CREATE TABLE %I.%I (LIKE %I.%I INCLUDING ALL)', home, made, home, part);
    EXECUTE format('LOCK TABLE %I.%I IN ACCESS EXCLUSIVE MODE', home, part || '_default');
    EXECUTE format('SELECT EXISTS (SELECT FROM %I.%I WHERE id >= $1 AND id < $2 OFFSET $3 LIMIT 1)', home, part || '_default')
        INTO is_full USING gristmill.first_id(from_ms), gristmill.first_id(to_ms), most;
    IF is_full THEN
        EXECUTE format('DROP TABLE %I.%I', home, made);
        RETURN 'full';
    END IF;
    EXECUTE format('WITH moved AS (DELETE FROM %I.%I WHERE id >= $1 AND id < $2 RETURNING *)
        INSERT INTO %I.%I SELECT * FROM moved', home, part || '_default', home, made)
        USING gristmill.first_id(from_ms), gristmill.first_id(to_ms);
    EXECUTE format('ALTER TABLE %I.%I ATTACH PARTITION %I.%I FOR VALUES FROM (%L) TO (%L)', home, part, home, made,
        gristmill.first_id(from_ms), gristmill.first_id(to_ms));
    RETURN 'made';
EXCEPTION
    WHEN lock_not_available THEN RETURN 'locked';
    -- Another one made it meanwhile, or one of another width covers a part of the span.
    WHEN duplicate_table OR invalid_object_definition THEN RETURN 'there';
END
$gristmill_function$;

-- Jobs that were added to, or deleted from, a partition that is about to be dropped.
CREATE TABLE gristmill.changes (
    change     bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id         uuid    NOT NULL,
    queue      integer NOT NULL,
    is_deleted boolean NOT NULL
);
CREATE INDEX changes_job ON gristmill.changes (id, change);

CREATE FUNCTION gristmill.note_change() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO gristmill.changes (id, queue, is_deleted) VALUES (OLD.id, OLD.queue, true);
    ELSE
        INSERT INTO gristmill.changes (id, queue, is_deleted) VALUES (NEW.id, NEW.queue, false);
    END IF;
    RETURN NULL;
END
$gristmill_function$;

-- Begins to note what changes in the partition that begins at an instant (ms); says `watched` or `locked`. To
-- be committed before the partition is dropped.
CREATE FUNCTION gristmill.watch_partition(from_ms bigint) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms'
    AS $gristmill_function$
DECLARE
    home name := (SELECT nspname FROM pg_type JOIN pg_namespace ON pg_namespace.oid = typnamespace
        WHERE pg_type.oid = pg_typeof(NULL::gristmill.jobs));
    watched text := format('%I.%I', home, 'jobs_p' || from_ms);
    part text;
BEGIN
    -- A vacuum that runs gives way after a second, and none begins any more.
    PERFORM set_config('lock_timeout', '3s', true);
    FOREACH part IN ARRAY ARRAY['jobs', 'attempts', 'records', 'logs'] LOOP
        EXECUTE format('ALTER TABLE %I.%I SET (autovacuum_enabled = off)', home, part || '_p' || from_ms);
    END LOOP;
    PERFORM set_config('lock_timeout', '200ms', true);
    IF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass(watched) AND tgname = 'watch') THEN
        EXECUTE format('CREATE TRIGGER watch AFTER INSERT OR DELETE ON %s
            FOR EACH ROW EXECUTE FUNCTION %I.note_change()', watched, home);
    END IF;
    RETURN 'watched';
EXCEPTION
    WHEN lock_not_available THEN RETURN 'locked';
    WHEN duplicate_object THEN RETURN 'watched';
END
$gristmill_function$;

-- Drops the partition that begins at an instant (ms) and is watched, if it has ended one default retention
-- ago (24 h); the completed jobs whose retention has passed go with it, all others go to DEFAULT. Says
-- `dropped`, `none`, `early`, `many` when more than `most` jobs would stay, or five times as many rows of
-- theirs, `unwatched` when few would and changes are not noted yet, `busy` when another one rotates, or
-- `locked`.
--
-- Which jobs stay is found out before the exclusive lock is taken; under it only what has changed since is
-- looked at, and each row is found by its key: the `OFFSET 0` keep the planner from turning the look-ups into
-- a join of its own order.
CREATE FUNCTION gristmill.drop_partition(
    from_ms bigint, most bigint,
    OUT outcome text, OUT dropped bigint, OUT stayed bigint, OUT locked_ms double precision)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET lock_timeout = '200ms' SET jit = off SET work_mem = '32MB' SET plan_cache_mode = auto
    SET enable_seqscan = on SET enable_hashjoin = on SET enable_mergejoin = on
    AS $gristmill_function$
DECLARE
    home CONSTANT name := (SELECT nspname FROM pg_type JOIN pg_namespace ON pg_namespace.oid = typnamespace
        WHERE pg_type.oid = pg_typeof(NULL::gristmill.jobs));
    jobs_part CONSTANT text := format('%I.%I', home, 'jobs_p' || from_ms);
    attempts_part CONSTANT text := format('%I.%I', home, 'attempts_p' || from_ms);
    parts CONSTANT text[] := ARRAY['jobs', 'attempts', 'records', 'logs'];
    part text;
    kept_ms CONSTANT bigint := 86400000;
    past CONSTANT bigint := gristmill.now_ms(NULL) - kept_ms;
    lowest CONSTANT uuid := gristmill.first_id(from_ms);
    behind uuid;
    stays uuid[];
    added uuid[];
    again uuid[];
    seen bigint[];
    queues integer[];
    numbers bigint[];
    rows bigint;
    moved bigint := 0;
    began timestamptz;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('gristmill rotation ' || home, 0)) THEN
        outcome := 'busy';
        RETURN;
    END IF;
    SELECT gristmill.first_id(spans.to_ms) INTO behind
        FROM gristmill.partitions() AS spans WHERE spans.from_ms = drop_partition.from_ms;
    IF behind IS NULL THEN
        outcome := 'none';
        RETURN;
    ELSIF gristmill.made_at(behind) > past THEN
        outcome := 'early';
        RETURN;
    END IF;
    -- A job with a retention of its own stays: it is noted in `expiries`.
    EXECUTE format('SELECT coalesce(array_agg(id), ARRAY[]::uuid[]) FROM (
            SELECT id FROM %s AS job
            WHERE job.options LIKE ''%%"retention"%%'' OR NOT EXISTS (
                SELECT FROM %s AS latest
                WHERE latest.id = job.id AND latest.state = 5 AND latest.finished_at <= $1
                    AND NOT EXISTS (SELECT FROM %I.retried WHERE retried.id = latest.id AND retried.run >= latest.run))
            LIMIT $2 + 1) AS staying', jobs_part, attempts_part, home)
        INTO stays USING past, most;
    stayed := cardinality(stays);
    IF stayed > most THEN
        outcome := 'many';
        RETURN;
    END IF;
    FOREACH part IN ARRAY parts LOOP
        EXECUTE format('SELECT count(*) FROM unnest($1) AS stay (id)
                CROSS JOIN LATERAL (SELECT FROM %I.%I AS kept WHERE kept.id = stay.id OFFSET 0) AS kept',
                home, part || '_p' || from_ms)
            INTO rows USING stays;
        moved := moved + rows;
    END LOOP;
    IF moved > 5 * most THEN
        outcome := 'many';
        RETURN;
    ELSIF NOT EXISTS (SELECT FROM pg_trigger WHERE tgrelid = to_regclass(jobs_part) AND tgname = 'watch') THEN
        outcome := 'unwatched';
        RETURN;
    END IF;
    -- What goes, and, of the same moment, the changes it was counted with.
    EXECUTE format('SELECT array_agg(queue), array_agg(number),
            (SELECT array_agg(change) FROM %I.changes WHERE changes.id >= $2 AND changes.id < $3) FROM (
            SELECT queue, count(*) AS number FROM %s AS job
            WHERE NOT EXISTS (SELECT FROM unnest($1) AS stay (id) WHERE stay.id = job.id)
                AND NOT EXISTS (SELECT FROM %I.changes WHERE changes.id = job.id AND NOT is_deleted)
            GROUP BY queue) AS counted', home, jobs_part, home)
        INTO queues, numbers, seen USING stays, lowest, behind;
    PERFORM set_config('enable_seqscan', 'off', true);

    -- Every statement reaches a partition through its parent, so only the parents are locked. A vacuum of
    -- another partition must not be in the way.
    LOCK TABLE ONLY gristmill.jobs, ONLY gristmill.attempts, ONLY gristmill.records, ONLY gristmill.logs
        IN ACCESS EXCLUSIVE MODE;
    began := clock_timestamp();
    FOREACH part IN ARRAY parts LOOP
        EXECUTE format('LOCK TABLE %I.%I, %I.%I IN ACCESS EXCLUSIVE MODE', home, part || '_p' || from_ms, home, part || '_default');
    END LOOP;
    SELECT array_agg(changes.id) INTO added FROM gristmill.changes
        WHERE changes.id >= lowest AND changes.id < behind AND NOT changes.is_deleted AND NOT changes.id = ANY (stays);
    stays := stays || coalesce(added, ARRAY[]::uuid[]);
    EXECUTE format('SELECT array_agg(retried.id) FROM %I.retried
            WHERE retried.id >= $1 AND retried.id < $2 AND NOT retried.id = ANY ($3)
                AND EXISTS (SELECT FROM %s AS job WHERE job.id = retried.id OFFSET 0) AND NOT EXISTS (
                    SELECT FROM %s AS latest WHERE latest.id = retried.id AND latest.state = 5
                        AND latest.finished_at <= $4 AND latest.run > retried.run OFFSET 0)',
            home, jobs_part, attempts_part)
        INTO again USING lowest, behind, stays, past;
    -- What was counted and does not go: retried, or deleted by another one.
    SELECT queues || coalesce(array_agg(queue), ARRAY[]::integer[]), numbers || coalesce(array_agg(-1::bigint), ARRAY[]::bigint[])
        INTO queues, numbers
        FROM (
            SELECT jobs.queue FROM gristmill.jobs WHERE jobs.id = ANY (again)
            UNION ALL
            SELECT changes.queue FROM gristmill.changes
            WHERE changes.id >= lowest AND changes.id < behind AND changes.is_deleted
                AND (changes.change IN (SELECT unnest(seen))) IS NOT TRUE AND (changes.id IN (SELECT unnest(stays))) IS NOT TRUE
        ) AS uncounted;
    stays := stays || coalesce(again, ARRAY[]::uuid[]);
    stayed := cardinality(stays);
    FOREACH part IN ARRAY parts LOOP
        EXECUTE format('ALTER TABLE %I.%I DETACH PARTITION %I.%I', home, part, home, part || '_p' || from_ms);
        EXECUTE format('INSERT INTO %I.%I SELECT kept.* FROM unnest($1) AS stay (id)
            CROSS JOIN LATERAL (SELECT * FROM %I.%I AS kept WHERE kept.id = stay.id OFFSET 0) AS kept', home, part || '_default', home, part || '_p' || from_ms) USING stays;
    END LOOP;
    EXECUTE format('INSERT INTO %I.expiries (delete_at, id)
            SELECT latest.finished_at + $2, latest.id FROM unnest($1) AS stay (id) CROSS JOIN LATERAL (
                SELECT * FROM %s AS latest WHERE latest.id = stay.id AND latest.state = 5 OFFSET 0) AS latest
            WHERE NOT EXISTS (
                SELECT FROM %I.retried WHERE retried.id = latest.id AND retried.run >= latest.run OFFSET 0)
            ON CONFLICT DO NOTHING', home, attempts_part, home)
        USING stays, kept_ms;
    INSERT INTO gristmill.tallies (completed, stale, queue)
        SELECT -sum(number), 0, queue FROM unnest(queues, numbers) AS counted (queue, number) GROUP BY queue;
    dropped := (SELECT coalesce(sum(number), 0) FROM unnest(numbers) AS counted (number));
    DELETE FROM gristmill.events WHERE events.id >= lowest AND events.id < behind AND NOT events.id = ANY (stays);
    DELETE FROM gristmill.uniques WHERE uniques.id >= lowest AND uniques.id < behind AND NOT uniques.id = ANY (stays);
    DELETE FROM gristmill.retried WHERE retried.id >= lowest AND retried.id < behind AND NOT retried.id = ANY (stays);
    DELETE FROM gristmill.changes WHERE changes.id >= lowest AND changes.id < behind;
    FOREACH part IN ARRAY parts LOOP
        EXECUTE format('DROP TABLE %I.%I', home, part || '_p' || from_ms);
    END LOOP;
    outcome := 'dropped';
    locked_ms := extract(epoch FROM clock_timestamp() - began) * 1000;
EXCEPTION
    WHEN lock_not_available THEN
        SELECT 'locked', NULL, NULL, NULL INTO outcome, dropped, stayed, locked_ms;
END
$gristmill_function$;
