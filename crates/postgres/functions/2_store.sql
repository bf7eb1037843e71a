-- How jobs are stored: `outbox_enqueue`.

-- The number of a queue. A new one is made when the transaction commits: until then others make it without
-- waiting for it.
CREATE OR REPLACE FUNCTION gristmill.outbox_new_queue(wanted text) RETURNS integer
    LANGUAGE plpgsql SET enable_seqscan = off SET jit = off
    AS $gristmill_function$
DECLARE
    number CONSTANT integer := gristmill.queue_number(wanted);
BEGIN
    INSERT INTO gristmill.new_queues (queue, name) VALUES (number, wanted);
    RETURN number;
END
$gristmill_function$;

CREATE OR REPLACE FUNCTION gristmill.outbox_queue(wanted text) RETURNS integer
    LANGUAGE plpgsql
    AS $gristmill_function$
BEGIN
    -- A new one apart, since compiling its plan (JIT) would take 120 ms of the first call on a connection.
    RETURN coalesce((SELECT queues.queue FROM gristmill.queues WHERE queues.name = wanted),
        (SELECT new_queues.queue FROM gristmill.new_queues WHERE new_queues.name = wanted LIMIT 1),
        gristmill.outbox_new_queue(wanted));
END
$gristmill_function$;

-- Notifies all processes of a new job, once the transaction commits.
CREATE OR REPLACE FUNCTION gristmill.outbox_tell(new_id uuid, line integer, urgency integer, due bigint, now bigint) RETURNS void
    LANGUAGE sql
    AS $gristmill_function$
SELECT pg_notify('gristmill_channel', CASE WHEN due > now THEN concat('0 d', due)
    ELSE concat('0 a', line, ':', urgency, ':', due, ':', new_id) END)
$gristmill_function$;

-- Takes a unique key for a new job, or says which job is there in its place. Waits for a transaction that
-- takes or frees it.
CREATE OR REPLACE FUNCTION gristmill.outbox_take_key(line integer, wanted bytea, new_id uuid, OUT existing uuid, OUT way text)
    LANGUAGE plpgsql SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
    AS $gristmill_function$
BEGIN
    -- Again, if the holder has gone meanwhile.
    FOR round IN 1..16 LOOP
        INSERT INTO gristmill.uniques (queue, key, id) VALUES (line, wanted, new_id) ON CONFLICT DO NOTHING;
        EXIT WHEN FOUND;
        SELECT jobs.id, 'id' INTO existing, way FROM gristmill.jobs WHERE jobs.id = new_id
            UNION ALL SELECT uniques.id, 'unique_key' FROM gristmill.uniques WHERE uniques.queue = line AND uniques.key = wanted
            LIMIT 1;
        EXIT WHEN existing IS NOT NULL;
        IF round = 16 THEN
            RAISE serialization_failure USING MESSAGE = 'a unique key changes hands', HINT = 'Repeat the transaction.';
        END IF;
    END LOOP;
END
$gristmill_function$;

-- Stores one job that has been checked and returns its answer. A job that is there already, by its id or its
-- unique key, writes nothing and is an answer.
CREATE OR REPLACE FUNCTION gristmill.outbox_put(
    new_id uuid, kind text, line integer, urgency integer, most integer, args text, options text, unique_key text,
    now bigint, due bigint, is_held boolean) RETURNS text
    LANGUAGE plpgsql
    AS $gristmill_function$
DECLARE
    wanted CONSTANT bytea := convert_to(unique_key, 'UTF8');
    held record;
BEGIN
    -- An hour leaves room for clocks that are badly set, and lies within the partitions that are made ahead.
    -- A job beyond them would be in the way of the partition of its time.
    IF new_id >= gristmill.first_id(now + 3600000) THEN
        RAISE invalid_parameter_value USING HINT =
            'Set the clock of the machine that made it: 60 minutes ahead are allowed. An id is a UUID of version 7.', MESSAGE =
            format('`id` %s is %s minutes ahead of the server''s clock', new_id, (gristmill.made_at(new_id) - now) / 60000);
    ELSIF unique_key IS NOT NULL THEN
        INSERT INTO gristmill.uniques (queue, key, id) VALUES (line, wanted, new_id) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            SELECT * INTO held FROM gristmill.outbox_take_key(line, wanted, new_id);
            IF held.existing IS NOT NULL THEN
                RETURN format('{"existing":"%s","by":"%s"}', held.existing, held.way);
            END IF;
        END IF;
    END IF;
    INSERT INTO gristmill.jobs (id, created_at, queue, max_attempts, priority, kind, options, args)
        VALUES (new_id, now, line, most, urgency, kind, options, convert_to(args, 'UTF8'))
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        DELETE FROM gristmill.uniques WHERE uniques.queue = line AND uniques.key = wanted AND uniques.id = new_id;
        RETURN format('{"existing":"%s","by":"id"}', new_id);
    ELSIF is_held OR due > now THEN
        INSERT INTO gristmill.waiting (id, run_at, queue, run, attempt, priority, crashes, state)
            VALUES (new_id, CASE WHEN is_held THEN now ELSE due END, line, 0, 0, urgency, 0, (NOT is_held)::integer);
    ELSE
        INSERT INTO gristmill.ready (id, run_at, queue, run, attempt, priority, crashes)
            VALUES (new_id, due, line, 0, 0, urgency, 0);
    END IF;
    RETURN '{"created":true}';
END
$gristmill_function$;

-- `outbox_enqueue` in full: any number of jobs, with unique keys, options and times, in new queues.
CREATE OR REPLACE FUNCTION gristmill.outbox_store(request text) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
DECLARE
    asked CONSTANT jsonb := request;
    now CONSTANT bigint := gristmill.now_ms(NULL);
    fault text := gristmill.outbox_refusal(asked);
    item record;
    answers text[];
BEGIN
    IF fault IS NOT NULL THEN
        RETURN fault;
    ELSIF jsonb_typeof(asked -> 'jobs') IS DISTINCT FROM 'array' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the request has no list of jobs';
    END IF;
    FOR item IN SELECT * FROM jsonb_array_elements(asked -> 'jobs') WITH ORDINALITY AS element (job, place) LOOP
        fault := gristmill.outbox_job_fault(item.job);
        IF fault IS NOT NULL THEN
            RAISE invalid_parameter_value USING MESSAGE = format('job %s of the request: %s', item.place, fault);
        END IF;
    END LOOP;
    FOR item IN
        -- One notification a queue and priority, and one a queue and priority of what is due later.
        SELECT listed.*, NOT is_held AND row_number() OVER (PARTITION BY line, urgency, is_held, due > now ORDER BY due, id) = 1 AS tells
        FROM (
            SELECT element.job, element.place, (job ->> 'id')::uuid AS id, (job ->> 'priority')::integer AS urgency,
                gristmill.outbox_queue(job ->> 'queue') AS line, job ? 'suspended' AS is_held,
                least(coalesce((job ->> 'at_ms')::numeric, now + coalesce((job ->> 'delay_ms')::numeric, 0)),
                    253402207200000)::bigint AS due,
                -- As it is written, which only `json` keeps.
                element.written ->> 'options' AS options
            FROM ROWS FROM (jsonb_array_elements(asked -> 'jobs'), json_array_elements(request::json -> 'jobs'))
                WITH ORDINALITY AS element (job, written, place)) AS listed
        -- Transactions that take the same keys take them in the same order.
        ORDER BY line, decode(job ->> 'key', 'hex'), place
    LOOP
        answers[item.place] := gristmill.outbox_put(item.id, item.job ->> 'kind', item.line, item.urgency,
            (item.job ->> 'max_attempts')::integer, item.job ->> 'args', item.options,
            item.job -> 'options' ->> 'unique_key', now, item.due, item.is_held);
        IF item.tells THEN
            PERFORM gristmill.outbox_tell(item.id, item.line, item.urgency, item.due, now);
        END IF;
    END LOOP;
    RETURN format('{"now_ms":%s,"answers":[%s]}', now, array_to_string(answers, ','));
END
$gristmill_function$;

-- Stores jobs in the caller's transaction.
--
-- One plain job of a queue that is there takes a short way: two inserts. All else, and all that is wrong, is
-- the business of `outbox_store`. Each transaction prepares the functions of these expressions anew: one path
-- looks at what it can, and a cast in an expression spares one at the assignment. `ON CONFLICT` names no
-- column: the partitions' indexes would be looked for each time.
CREATE OR REPLACE FUNCTION gristmill.outbox_enqueue(request text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    AS $gristmill_function$
DECLARE
    asked CONSTANT pg_catalog.jsonb := request::pg_catalog.jsonb;
    job CONSTANT pg_catalog.jsonb := asked OPERATOR(pg_catalog.#>) '{jobs,0}';
    args CONSTANT pg_catalog.text := job OPERATOR(pg_catalog.->>) 'args';
    now CONSTANT pg_catalog.int8 := pg_catalog.floor(
        pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.*) 1000)::pg_catalog.int8;
    new_id pg_catalog.uuid;
    line pg_catalog.int4;
    urgency pg_catalog.int2;
BEGIN
    IF (job OPERATOR(pg_catalog.-) '{id,kind,queue,priority,max_attempts,args}'::pg_catalog.text[]) OPERATOR(pg_catalog.=) '{}'
        AND asked OPERATOR(pg_catalog.@?) 'strict $ ? (@.protocol.floor() == @.protocol
            && @.protocol >= 0 && @.protocol < 1000000 && @.jobs.size() == 1).jobs[0] ? (@.kind != "" && @.queue.type() == "string" && @.args.type() == "string"
            && @.priority >= -10 && @.priority <= 10 && @.max_attempts >= 1 && @.max_attempts <= 65535)'
        AND (job OPERATOR(pg_catalog.->>) 'kind') OPERATOR(pg_catalog.!~) '[^-A-Za-z0-9._:/]'
        AND pg_catalog.octet_length(job OPERATOR(pg_catalog.->>) 'kind') OPERATOR(pg_catalog.<=) 64
        AND pg_catalog.octet_length(job OPERATOR(pg_catalog.->>) 'id') OPERATOR(pg_catalog.=) 36
        AND pg_catalog.octet_length(args) OPERATOR(pg_catalog.<=) 1048576 AND args::pg_catalog.json IS NOT NULL
        AND NOT gristmill.outbox_is_odd(args)
    THEN
        SELECT queues.queue, (job OPERATOR(pg_catalog.->>) 'id')::pg_catalog.uuid, (job OPERATOR(pg_catalog.->>) 'priority')::pg_catalog.int2
            INTO line, new_id, urgency
            FROM gristmill.queues
            WHERE queues.name OPERATOR(pg_catalog.=) (job OPERATOR(pg_catalog.->>) 'queue') AND EXISTS (
                    SELECT FROM gristmill.versions
                    WHERE versions.outbox_oldest OPERATOR(pg_catalog.<=) (asked OPERATOR(pg_catalog.->) 'protocol')::pg_catalog.int4
                        AND versions.outbox_newest OPERATOR(pg_catalog.>=) (asked OPERATOR(pg_catalog.->) 'protocol')::pg_catalog.int4)
                -- As in `outbox_put`.
                AND (job OPERATOR(pg_catalog.->>) 'id')::pg_catalog.uuid OPERATOR(pg_catalog.<) pg_catalog.rpad(
                    pg_catalog.lpad(pg_catalog.to_hex(now OPERATOR(pg_catalog.+) 3600000), 12, '0'), 32, '0')::pg_catalog.uuid;
        IF FOUND THEN
            INSERT INTO gristmill.jobs (id, created_at, queue, max_attempts, priority, kind, args)
                VALUES (new_id, now, line, (job OPERATOR(pg_catalog.->>) 'max_attempts')::pg_catalog.int4, urgency,
                    job OPERATOR(pg_catalog.->>) 'kind', pg_catalog.convert_to(args, 'UTF8'))
                ON CONFLICT DO NOTHING;
        END IF;
        IF FOUND THEN
            INSERT INTO gristmill.ready (id, run_at, queue, run, attempt, priority, crashes)
                VALUES (new_id, now, line, 0, 0, urgency, 0);
            RETURN pg_catalog.concat('{"now_ms":', now, ',"answers":[{"created":true}]}', pg_catalog.pg_notify(
                'gristmill_channel', pg_catalog.concat('0 a', line, ':', urgency, ':', now, ':', new_id)));
        END IF;
    END IF;
    RETURN gristmill.outbox_store(request);
END
$gristmill_function$;
