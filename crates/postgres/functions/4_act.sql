-- What cancel and update do to jobs, each where it is.

-- Where jobs are, of one moment, and so what their states are; as `sql/locate.sql`. A running job has the nonce of its claim.
CREATE OR REPLACE FUNCTION gristmill.outbox_locate(ids uuid[])
    RETURNS TABLE (
        place bigint, id uuid, state smallint, queue integer, priority smallint, max_attempts integer, created_at bigint,
        options text, kind text, args bytea, run integer, attempt integer, crashes smallint, run_at bigint,
        finished_at bigint, reason text, nonce uuid, is_parked boolean)
    LANGUAGE plpgsql ROWS 1
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
    AS $gristmill_function$
#variable_conflict use_column
BEGIN
    RETURN QUERY
    WITH wanted AS MATERIALIZED (
        SELECT item.id, item.place FROM unnest(ids) WITH ORDINALITY AS item (id, place)
    ),
    job AS MATERIALIZED (
        SELECT wanted.place, jobs.id, jobs.queue, jobs.priority, jobs.max_attempts, jobs.created_at, jobs.options, jobs.kind,
            jobs.args,
            CASE
                WHEN ready.id IS NOT NULL THEN 2
                WHEN waiting.id IS NOT NULL THEN waiting.state
                WHEN ended.id IS NOT NULL THEN ended.state
                WHEN latest.state = 5 AND latest.run > coalesce(retried.run, 0) THEN 5
                ELSE 3
            END::smallint AS state,
            coalesce(ready.run, waiting.run, ended.run, latest.run, 0) AS run,
            coalesce(ready.attempt, waiting.attempt, ended.attempt, latest.attempt, 0) AS attempt,
            coalesce(ready.crashes, waiting.crashes, ended.crashes, 0::smallint) AS crashes,
            coalesce(ready.run_at, waiting.run_at, ended.run_at, latest.run_at, jobs.created_at) AS run_at,
            coalesce(ended.finished_at, latest.finished_at) AS finished_at,
            CASE
                WHEN ready.id IS NOT NULL THEN ready.reason
                WHEN waiting.id IS NOT NULL THEN waiting.reason
                WHEN ended.id IS NOT NULL THEN ended.reason
            END AS reason,
            waiting.kind IS NOT NULL AS is_parked,
            coalesce(latest.run, 0) AS latest_run
        FROM wanted
            CROSS JOIN LATERAL (SELECT * FROM gristmill.jobs WHERE jobs.id = wanted.id LIMIT 1) AS jobs
            LEFT JOIN LATERAL (SELECT * FROM gristmill.ready WHERE ready.id = wanted.id LIMIT 1) AS ready ON true
            LEFT JOIN LATERAL (SELECT * FROM gristmill.waiting WHERE waiting.id = wanted.id LIMIT 1) AS waiting ON true
            LEFT JOIN LATERAL (SELECT * FROM gristmill.ended WHERE ended.id = wanted.id LIMIT 1) AS ended ON true
            LEFT JOIN LATERAL (SELECT * FROM gristmill.retried WHERE retried.id = wanted.id LIMIT 1) AS retried ON true
            LEFT JOIN LATERAL (
                SELECT attempts.state, attempts.run, attempts.attempt, attempts.run_at, attempts.finished_at
                FROM gristmill.attempts
                WHERE attempts.id = wanted.id
                ORDER BY attempts.run DESC LIMIT 1
            ) AS latest ON true
    ),
    member AS MATERIALIZED (
        SELECT claims.nonce, listed.*
        FROM gristmill.claims CROSS JOIN LATERAL
            unnest(claims.ids, claims.runs, claims.attempts, claims.crashes, claims.run_ats)
            AS listed (id, run, attempt, crashes, run_at)
        WHERE EXISTS (SELECT FROM job WHERE job.state = 3)
            AND (listed.id IN (SELECT job.id FROM job WHERE job.state = 3)) IS TRUE
    )
    SELECT job.place, job.id, job.state, job.queue, job.priority, job.max_attempts, job.created_at, job.options, job.kind,
        job.args, coalesce(member.run, job.run), coalesce(member.attempt, job.attempt), coalesce(member.crashes, job.crashes),
        coalesce(member.run_at, job.run_at), CASE WHEN job.state >= 5 THEN job.finished_at END, job.reason, member.nonce,
        job.is_parked
    FROM job LEFT JOIN member ON member.id = job.id AND member.run > job.latest_run AND job.state = 3;
END
$gristmill_function$;

-- Jobs disappear with all that belongs to them. These claims may list them still: they are struck out.
CREATE OR REPLACE FUNCTION gristmill.outbox_erase(gone uuid[], among uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
    AS $gristmill_function$
BEGIN
    PERFORM gristmill.strike(gone, among);
    DELETE FROM gristmill.ready WHERE id = ANY (gone);
    DELETE FROM gristmill.waiting WHERE id = ANY (gone);
    PERFORM gristmill.erase(gone);
END
$gristmill_function$;

-- How long a cancelled job stays (ms); less than a millisecond, but not zero, counts as a fraction.
CREATE OR REPLACE FUNCTION gristmill.outbox_kept(options text) RETURNS numeric
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
SELECT coalesce(CASE WHEN options LIKE '%"retention"%' THEN (
    SELECT (kept ->> 'secs')::numeric * 1000 + (kept ->> 'nanos')::numeric / 1000000
    FROM json_extract_path(options::json, 'retention', 'cancelled') AS kept) END, 604800000)
$gristmill_function$;

-- Cancels or updates jobs, each id once, whose rows in `jobs` the caller has locked; the verdicts in their order.
--
-- Locks come in the order of all operators' acts: the jobs where they are, then claims, those of running jobs together with
-- those that list jobs which disappear. A job may be fetched, finished or promoted between the statement that locks it and the
-- one that tells where it is; then it is looked for again.
CREATE OR REPLACE FUNCTION gristmill.outbox_act(verb text, ids uuid[], patch jsonb, actor text, now bigint) RETURNS json[]
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
    AS $gristmill_function$
DECLARE
    states CONSTANT text[] := '{suspended,scheduled,available,running,retryable,completed,cancelled,discarded}';
    verdicts json[] := array_fill('{"verdict":"not_found"}'::json, ARRAY[cardinality(ids)]);
    open uuid[] := ids;
    still uuid[];
    places uuid[];
    nonces uuid[] := '{}';
    locked uuid[];
    -- Those that disappear and have run, so that claims may list them, and those of them whose claims are locked.
    fleeting uuid[] := '{}';
    unlisted uuid[];
    job record;
    -- NULL where the time stays as it is.
    due CONSTANT bigint := CASE
        WHEN patch ? 'now' THEN now
        WHEN patch ? 'at_ms' THEN least((patch ->> 'at_ms')::numeric, 253402207200000)
        WHEN patch ? 'delay_ms' THEN least(now + (patch ->> 'delay_ms')::numeric, 253402207200000) END;
    puts uuid[] := '{}'; queues integer[] := '{}'; priorities smallint[] := '{}'; runs integer[] := '{}';
    attempts integer[] := '{}'; crashes smallint[] := '{}'; new_states smallint[] := '{}'; run_ats bigint[] := '{}';
    reasons text[] := '{}'; kept bigint[] := '{}';
    asked uuid[] := '{}'; asked_nonces uuid[] := '{}'; erased uuid[] := '{}'; noted uuid[] := '{}'; told text[] := '{}';
BEGIN
    FOR round IN 1..10 LOOP
        WITH wanted AS MATERIALIZED (SELECT unnest(open) AS id ORDER BY 1),
        available AS MATERIALIZED (
            SELECT held.id FROM wanted
            CROSS JOIN LATERAL (SELECT ready.id FROM gristmill.ready WHERE ready.id = wanted.id FOR UPDATE) AS held
        ),
        waits AS MATERIALIZED (
            SELECT held.id FROM wanted
            CROSS JOIN LATERAL (SELECT waiting.id FROM gristmill.waiting WHERE waiting.id = wanted.id FOR UPDATE) AS held
        ),
        past AS MATERIALIZED (
            SELECT held.id FROM wanted
            CROSS JOIN LATERAL (SELECT ended.id FROM gristmill.ended WHERE ended.id = wanted.id FOR UPDATE) AS held
        )
        SELECT array_agg(held.id) INTO places
            FROM (SELECT id FROM available UNION ALL SELECT id FROM waits UNION ALL SELECT id FROM past) AS held;
        locked := '{}';
        unlisted := fleeting;
        IF nonces || fleeting <> '{}' THEN
            locked := nonces || gristmill.claims_listing(fleeting);
            locked := ARRAY(SELECT nonce FROM gristmill.claims WHERE nonce = ANY (locked) ORDER BY nonce FOR UPDATE);
        END IF;
        still := '{}';
        FOR job IN SELECT * FROM gristmill.outbox_locate(open) LOOP
            IF job.state = 3 AND verb = 'cancel' AND job.nonce IS NOT NULL AND (job.nonce = ANY (locked)) IS NOT TRUE THEN
                nonces := nonces || job.nonce;
                still := still || job.id;
            ELSIF job.state NOT IN (3, 5) AND (job.id = ANY (places)) IS NOT TRUE THEN
                still := still || job.id;
            ELSIF verb = 'cancel' AND job.state IN (0, 1, 2, 4) AND job.run > 0 AND (job.id = ANY (unlisted)) IS NOT TRUE
                AND gristmill.outbox_kept(job.options) = 0 THEN
                fleeting := fleeting || job.id;
                still := still || job.id;
            ELSIF job.state = 3 AND verb = 'cancel' THEN
                verdicts[array_position(ids, job.id)] := '{"verdict":"requested"}';
                noted := noted || job.id;
                -- A job that no claim lists is in no place; the audit makes it available, and then it can be cancelled.
                IF job.nonce IS NOT NULL THEN
                    asked := asked || job.id;
                    asked_nonces := asked_nonces || job.nonce;
                    told := told || ('c' || replace(job.id::text, '-', ''));
                END IF;
            ELSIF verb = 'cancel' AND job.state >= 5 THEN
                verdicts[array_position(ids, job.id)] := '{"verdict":"already_terminal"}';
            ELSIF job.state = 3 OR job.state >= 5 THEN
                verdicts[array_position(ids, job.id)] := json_build_object('verdict', 'refused', 'state', states[job.state + 1]);
            ELSE
                verdicts[array_position(ids, job.id)] := '{"verdict":"done"}';
                noted := noted || job.id;
                IF verb = 'cancel' THEN
                    job.state := 6;
                    job.reason := NULL;
                    told := told || ('e' || replace(job.id::text, '-', ''));
                    IF gristmill.outbox_kept(job.options) = 0 THEN
                        erased := erased || job.id;
                        CONTINUE;
                    END IF;
                ELSE
                    job.priority := coalesce((patch ->> 'priority')::smallint, job.priority);
                    IF job.is_parked THEN
                        job.state := 2;
                        job.reason := NULL;
                    END IF;
                    -- Only a release makes a suspended job due.
                    IF job.state <> 0 AND due IS NOT NULL THEN
                        job.state := CASE WHEN due > now THEN 1 ELSE 2 END;
                        job.run_at := due;
                    END IF;
                    IF job.state = 2 THEN
                        told := told || format('a%s:%s:%s:%s', job.queue, job.priority, job.run_at, replace(job.id::text, '-', ''));
                    ELSIF job.state <> 0 THEN
                        told := told || ('d' || job.run_at);
                    END IF;
                END IF;
                puts := puts || job.id; queues := queues || job.queue; priorities := priorities || job.priority;
                runs := runs || job.run; attempts := attempts || job.attempt; crashes := crashes || job.crashes;
                new_states := new_states || job.state; run_ats := run_ats || job.run_at; reasons := reasons || job.reason;
                kept := kept || least(gristmill.outbox_kept(job.options), 253402207200000)::bigint;
            END IF;
        END LOOP;
        open := still;
        EXIT WHEN open = '{}';
    END LOOP;
    IF open <> '{}' THEN
        RAISE serialization_failure USING MESSAGE = 'a job moves faster than it can be locked', HINT = 'Repeat the transaction.';
    END IF;
    IF asked <> '{}' THEN
        WITH wanted AS MATERIALIZED (
            SELECT item.nonce, array_agg(item.id) AS ids FROM unnest(asked_nonces, asked) AS item (nonce, id) GROUP BY item.nonce
        )
        UPDATE gristmill.claims
            SET cancels = claims.cancels || ARRAY(SELECT unnest(wanted.ids) EXCEPT SELECT unnest(claims.cancels))
            FROM wanted WHERE claims.nonce = wanted.nonce AND claims.nonce = ANY (asked_nonces);
    END IF;
    IF verb = 'update' AND patch ?| '{priority,max_attempts,args}' THEN
        UPDATE gristmill.jobs
            SET priority = coalesce((patch ->> 'priority')::smallint, jobs.priority),
                max_attempts = coalesce((patch ->> 'max_attempts')::integer, jobs.max_attempts),
                args = coalesce(convert_to(patch ->> 'args', 'UTF8'), jobs.args)
            WHERE jobs.id = ANY (puts);
    END IF;
    IF puts <> '{}' THEN
        DELETE FROM gristmill.ready WHERE id = ANY (puts);
        DELETE FROM gristmill.waiting WHERE id = ANY (puts);
    END IF;
    IF verb = 'cancel' AND puts <> '{}' THEN
        DELETE FROM gristmill.uniques WHERE id = ANY (puts);
        INSERT INTO gristmill.ended
            (id, finished_at, delete_at, queue, run, attempt, priority, crashes, state, run_at, reason)
            SELECT item.id, now, now + item.kept, item.queue, item.run, item.attempt, item.priority, item.crashes, item.state,
                item.run_at, item.reason
            FROM unnest(puts, queues, priorities, runs, attempts, crashes, new_states, run_ats, reasons, kept)
                AS item (id, queue, priority, run, attempt, crashes, state, run_at, reason, kept);
    ELSIF puts <> '{}' THEN
        WITH item AS MATERIALIZED (
            SELECT * FROM unnest(puts, queues, priorities, runs, attempts, crashes, new_states, run_ats, reasons)
                AS item (id, queue, priority, run, attempt, crashes, state, run_at, reason)
        ),
        available AS (
            INSERT INTO gristmill.ready (id, run_at, queue, run, attempt, priority, crashes, reason)
            SELECT item.id, item.run_at, item.queue, item.run, item.attempt, item.priority, item.crashes, item.reason
            FROM item WHERE item.state = 2
        )
        INSERT INTO gristmill.waiting (id, run_at, queue, run, attempt, priority, crashes, state, reason)
            SELECT item.id, item.run_at, item.queue, item.run, item.attempt, item.priority, item.crashes, item.state, item.reason
            FROM item WHERE item.state <> 2;
    END IF;
    IF erased <> '{}' THEN
        PERFORM gristmill.outbox_erase(erased, locked);
        noted := ARRAY(SELECT unnest(noted) EXCEPT SELECT unnest(erased));
    END IF;
    INSERT INTO gristmill.events (id, at, what, actor)
        SELECT item.id, now, verb, actor FROM unnest(noted) WITH ORDINALITY AS item (id, place) ORDER BY item.place;
    -- Of the events of a job only the newest stay.
    DELETE FROM gristmill.events WHERE event = ANY (ARRAY(
        SELECT old.event FROM unnest(noted) AS item (id) CROSS JOIN LATERAL (
            SELECT events.event FROM gristmill.events WHERE events.id = item.id ORDER BY events.event DESC OFFSET 100) AS old));
    PERFORM gristmill.outbox_tell(told);
    RETURN verdicts;
END
$gristmill_function$;
