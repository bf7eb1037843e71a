-- How jobs are stored: `outbox_enqueue`.

-- The numbers of queues by their names, in their order. New queues are made when the transaction commits: until then other
-- transactions make them without waiting for it.
CREATE OR REPLACE FUNCTION gristmill.outbox_queues(names text[]) RETURNS integer[]
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
    AS $gristmill_function$
DECLARE
    numbers integer[];
    missing text;
BEGIN
    SELECT array_agg(known.queue ORDER BY wanted.place) INTO numbers
        FROM unnest(names) WITH ORDINALITY AS wanted (name, place) LEFT JOIN LATERAL (
            SELECT queues.queue FROM gristmill.queues WHERE queues.name = wanted.name OFFSET 0) AS known ON true;
    IF array_position(numbers, NULL) IS NULL THEN
        RETURN numbers;
    END IF;
    FOR missing IN
        SELECT DISTINCT wanted.name FROM unnest(names, numbers) AS wanted (name, number) WHERE wanted.number IS NULL
            AND NOT EXISTS (SELECT FROM gristmill.new_queues WHERE new_queues.name = wanted.name)
    LOOP
        INSERT INTO gristmill.new_queues (queue, name) VALUES (gristmill.queue_number(missing), missing);
    END LOOP;
    RETURN ARRAY(
        SELECT coalesce(wanted.number, (SELECT new_queues.queue FROM gristmill.new_queues WHERE new_queues.name = wanted.name
            LIMIT 1))
        FROM unnest(names, numbers) WITH ORDINALITY AS wanted (name, number, place) ORDER BY wanted.place);
END
$gristmill_function$;

-- Tells all processes, once the transaction commits. Items that do not fit one notification go in several.
CREATE OR REPLACE FUNCTION gristmill.outbox_tell(items text[]) RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
SELECT pg_notify('gristmill_channel', '0 ' || string_agg(told.item, ' ' ORDER BY told.place))
FROM unnest(items) WITH ORDINALITY AS told (item, place) GROUP BY (told.place - 1) / 100
$gristmill_function$;

-- Takes the unique keys of jobs, which are in open places, and says of each who holds its key now and whether this call took
-- it. Keys are taken in ascending order; one that another transaction is taking or freeing is waited for.
CREATE OR REPLACE FUNCTION gristmill.outbox_take_keys(open integer[], ids uuid[], queues integer[], keys bytea[])
    RETURNS TABLE (place integer, holder uuid, is_taken boolean)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
    SET plan_cache_mode = force_generic_plan SET jit = off
    AS $gristmill_function$
DECLARE
    places integer[];
BEGIN
    -- A key whose holder has gone meanwhile is tried again.
    FOR round IN 1..16 LOOP
        places := '{}';
        FOR place, holder IN
            WITH wanted AS MATERIALIZED (
                SELECT item.place::integer AS place, item.id, item.queue, item.key
                FROM unnest(ids, queues, keys) WITH ORDINALITY AS item (id, queue, key, place)
                WHERE item.place = ANY (open)
            ),
            taken AS (
                INSERT INTO gristmill.uniques (queue, key, id)
                SELECT one.queue, one.key, one.id FROM (
                    SELECT DISTINCT ON (wanted.queue, wanted.key) wanted.queue, wanted.key, wanted.id FROM wanted
                    ORDER BY wanted.queue, wanted.key, wanted.place) AS one
                ORDER BY one.queue, one.key
                ON CONFLICT DO NOTHING
                RETURNING uniques.queue, uniques.key, uniques.id
            )
            SELECT wanted.place, taken.id FROM wanted JOIN taken ON taken.queue = wanted.queue AND taken.key = wanted.key
        LOOP
            is_taken := true;
            places := places || place;
            RETURN NEXT;
        END LOOP;
        -- In a statement of its own: the snapshot of the first may be older than the holder.
        IF cardinality(places) < cardinality(open) THEN
            FOR place, holder IN
                SELECT item.place, held.id
                FROM unnest(ids, queues, keys) WITH ORDINALITY AS item (id, queue, key, place)
                CROSS JOIN LATERAL (
                    SELECT uniques.id FROM gristmill.uniques
                    WHERE uniques.queue = item.queue AND uniques.key = item.key OFFSET 0
                ) AS held
                WHERE item.place = ANY (open) AND item.place <> ALL (places)
            LOOP
                is_taken := false;
                places := places || place;
                RETURN NEXT;
            END LOOP;
        END IF;
        open := ARRAY(SELECT unnest(open) EXCEPT SELECT unnest(places));
        IF open = '{}' THEN
            RETURN;
        END IF;
    END LOOP;
    RAISE serialization_failure USING MESSAGE = 'a unique key changes hands all the time',
        HINT = 'Repeat the transaction.';
END
$gristmill_function$;

-- Refuses an id that lies more than an hour ahead of the server's clock: an hour leaves room for clocks that are badly set,
-- and lies within the partitions that are made ahead. A job beyond them would be in the way of the partition of its time.
CREATE OR REPLACE FUNCTION gristmill.outbox_refuse_ahead(id uuid, now bigint) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
BEGIN
    IF id >= gristmill.first_id(now + 3600000) THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('`id` %s is %s minutes ahead of the server''s clock', id, (gristmill.made_at(id) - now) / 60000),
            HINT = 'Set the clock of the machine that made it: 60 minutes ahead are allowed. An id is a UUID of version 7.';
    END IF;
END
$gristmill_function$;

-- `outbox_enqueue` in full: any number of jobs, with unique keys, options and times, in new queues. A job that is there
-- already, by its id or its unique key, writes nothing and is an answer.
CREATE OR REPLACE FUNCTION gristmill.outbox_store(request text) RETURNS text
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
    AS $gristmill_function$
DECLARE
    asked CONSTANT jsonb := request;
    now CONSTANT bigint := gristmill.now_ms(NULL);
    last_instant CONSTANT bigint := 253402207200000;
    fault text;
    place integer;
    ids uuid[]; queues integer[]; priorities smallint[]; kinds text[]; attempts integer[]; args bytea[]; options text[];
    keys bytea[]; dues bigint[]; held boolean[];
    times integer[];
    chosen integer[];
    present uuid[];
    stored uuid[];
    lost integer[];
    existing uuid[];
    ways text[];
    key_holder uuid;
    is_taken boolean;
BEGIN
    fault := gristmill.outbox_refusal(asked);
    IF fault IS NOT NULL THEN
        RETURN fault;
    ELSIF jsonb_typeof(asked -> 'jobs') IS DISTINCT FROM 'array' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the request has no list of jobs';
    ELSIF asked -> 'jobs' = '[]' THEN
        RETURN format('{"now_ms":%s,"answers":[]}', now);
    END IF;
    -- One after the other: the text of the options is kept as it is, which only `json` does.
    IF jsonb_path_exists(asked, '$.jobs[*].options') THEN
        SELECT array_agg(item.job ->> 'o' ORDER BY item.place) INTO options FROM (
            SELECT jsonb_build_object('o', (element.job -> 'options')::text) AS job, element.place
            FROM json_array_elements(request::json -> 'jobs') WITH ORDINALITY AS element (job, place)) AS item;
    END IF;
    SELECT checked.place, checked.fault INTO place, fault FROM (
        SELECT item.place, coalesce(gristmill.outbox_job_fault(item.job),
            gristmill.outbox_options_fault(options[item.place]::json)) AS fault
        FROM jsonb_array_elements(asked -> 'jobs') WITH ORDINALITY AS item (job, place) OFFSET 0) AS checked
        WHERE checked.fault IS NOT NULL ORDER BY checked.place LIMIT 1;
    IF fault IS NULL THEN
        SELECT item.place, format('it names `%s` twice', twice.name) INTO place, fault
            FROM json_array_elements(request::json -> 'jobs') WITH ORDINALITY AS item (job, place)
                CROSS JOIN LATERAL (SELECT gristmill.outbox_twice(item.job) AS name) AS twice
            WHERE twice.name IS NOT NULL ORDER BY item.place LIMIT 1;
    END IF;
    IF fault IS NOT NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = format('job %s of the request: %s', place, fault);
    END IF;
    PERFORM gristmill.outbox_refuse_ahead((item.job ->> 'id')::uuid, now)
        FROM jsonb_array_elements(asked -> 'jobs') AS item (job);
    SELECT array_agg((job ->> 'id')::uuid ORDER BY item.place), array_agg((job ->> 'priority')::smallint ORDER BY item.place),
            array_agg(job ->> 'kind' ORDER BY item.place), array_agg((job ->> 'max_attempts')::integer ORDER BY item.place),
            array_agg(convert_to(job ->> 'args', 'UTF8') ORDER BY item.place),
            array_agg(decode(job ->> 'key', 'hex') ORDER BY item.place),
            array_agg(least(coalesce((job ->> 'at_ms')::numeric, now + coalesce((job ->> 'delay_ms')::numeric, 0)),
                last_instant)::bigint ORDER BY item.place),
            array_agg(job ? 'suspended' ORDER BY item.place),
            gristmill.outbox_queues(array_agg(job ->> 'queue' ORDER BY item.place)),
            array_agg(item.times::integer ORDER BY item.place)
        INTO ids, priorities, kinds, attempts, args, keys, dues, held, queues, times
        FROM (
            SELECT element.*, row_number() OVER (PARTITION BY (element.job ->> 'id')::uuid ORDER BY element.place) AS times
            FROM jsonb_array_elements(asked -> 'jobs') WITH ORDINALITY AS element (job, place)) AS item (job, place, times);
    existing := array_fill(NULL::uuid, ARRAY[cardinality(ids)]);
    ways := array_fill(NULL::text, ARRAY[cardinality(ids)]);
    -- Whose id comes twice is looked at again after the first is settled.
    FOR round IN 1..(SELECT max(number) FROM unnest(times) AS number) LOOP
        chosen := ARRAY(SELECT item.place FROM unnest(times) WITH ORDINALITY AS item (times, place) WHERE item.times = round);
        IF EXISTS (SELECT FROM unnest(chosen) AS item (place) WHERE keys[item.place] IS NOT NULL) THEN
            present := ARRAY(SELECT stored_job.id FROM unnest(chosen) AS item (place)
                CROSS JOIN LATERAL (SELECT jobs.id FROM gristmill.jobs WHERE jobs.id = ids[item.place] OFFSET 0) AS stored_job);
            FOR place, key_holder, is_taken IN
                SELECT taken.* FROM gristmill.outbox_take_keys(
                    ARRAY(SELECT item.place FROM unnest(chosen) AS item (place)
                        WHERE keys[item.place] IS NOT NULL AND (ids[item.place] = ANY (present)) IS NOT TRUE),
                    ids, queues, keys) AS taken
            LOOP
                IF key_holder <> ids[place] OR NOT is_taken THEN
                    existing[place] := key_holder;
                    ways[place] := CASE WHEN key_holder = ids[place] THEN 'id' ELSE 'unique_key' END;
                END IF;
            END LOOP;
            FOREACH place IN ARRAY chosen LOOP
                IF ids[place] = ANY (present) THEN
                    existing[place] := ids[place];
                    ways[place] := 'id';
                END IF;
            END LOOP;
            chosen := ARRAY(SELECT item.place FROM unnest(chosen) AS item (place) WHERE existing[item.place] IS NULL);
        END IF;
        WITH item AS MATERIALIZED (
            SELECT t.*, t.place = ANY (chosen) AS is_chosen
            FROM unnest(ids, queues, priorities, kinds, attempts, args, options, dues, held) WITH ORDINALITY
                AS t (id, queue, priority, kind, max_attempts, args, options, due, is_held, place)
        ),
        job AS (
            INSERT INTO gristmill.jobs (id, created_at, queue, max_attempts, priority, kind, options, args)
            SELECT item.id, now, item.queue, item.max_attempts, item.priority, item.kind, item.options, item.args
            FROM item WHERE item.is_chosen ORDER BY item.id
            ON CONFLICT DO NOTHING
            RETURNING id
        ),
        marked AS MATERIALIZED (
            SELECT item.* FROM item WHERE item.is_chosen AND (item.id IN (SELECT job.id FROM job)) IS TRUE
        ),
        available AS (
            INSERT INTO gristmill.ready (id, run_at, queue, run, attempt, priority, crashes)
            SELECT id, due, queue, 0, 0, priority, 0 FROM marked WHERE NOT is_held AND due <= now
        ),
        waits AS (
            INSERT INTO gristmill.waiting (id, run_at, queue, run, attempt, priority, crashes, state)
            SELECT id, CASE WHEN is_held THEN now ELSE due END, queue, 0, 0, priority, 0,
                CASE WHEN is_held THEN 0 ELSE 1 END
            FROM marked WHERE is_held OR due > now
        )
        SELECT coalesce(array_agg(job.id), '{}') INTO stored FROM job;
        lost := '{}';
        IF cardinality(stored) < cardinality(chosen) THEN
            lost := ARRAY(SELECT item.place FROM unnest(chosen) AS item (place)
                WHERE (ids[item.place] = ANY (stored)) IS NOT TRUE);
            FOREACH place IN ARRAY lost LOOP
                existing[place] := ids[place];
                ways[place] := 'id';
            END LOOP;
            DELETE FROM gristmill.uniques USING unnest(lost) AS item (place)
                WHERE uniques.queue = queues[item.place] AND uniques.key = keys[item.place];
        END IF;
    END LOOP;
    PERFORM gristmill.outbox_tell(ARRAY(
        SELECT told.item FROM (
            SELECT 'a' || item.queue || ':' || item.priority || ':' || (array_agg(item.due || ':' || replace(item.id::text, '-', '')
                    ORDER BY item.due, item.id))[1], 1, item.queue, item.priority
            FROM unnest(ids, queues, priorities, dues, held, existing) AS item (id, queue, priority, due, is_held, existing)
            WHERE item.existing IS NULL AND NOT item.is_held AND item.due <= now GROUP BY item.queue, item.priority
            UNION ALL
            SELECT 'd' || min(item.due), 2, 0, 0
            FROM unnest(dues, held, existing) AS item (due, is_held, existing)
            WHERE item.existing IS NULL AND NOT item.is_held AND item.due > now HAVING count(*) > 0
        ) AS told (item, part, queue, priority) ORDER BY told.part, told.queue, told.priority));
    RETURN format('{"now_ms":%s,"answers":[%s]}', now, (
        SELECT string_agg(CASE WHEN item.existing IS NULL THEN '{"created":true}'
            ELSE format('{"existing":"%s","by":"%s"}', item.existing, item.way) END, ',' ORDER BY item.place)
        FROM unnest(existing, ways) WITH ORDINALITY AS item (existing, way, place)));
END
$gristmill_function$;

-- What is there already in the place of a new job: the job of its id, or the one that holds its unique key.
CREATE OR REPLACE FUNCTION gristmill.outbox_holder(new_id uuid, line integer, wanted bytea, OUT existing uuid, OUT way text)
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
    SET plan_cache_mode = force_generic_plan SET jit = off
    AS $gristmill_function$
BEGIN
    SELECT jobs.id, 'id' INTO existing, way FROM gristmill.jobs WHERE jobs.id = new_id;
    IF existing IS NULL THEN
        SELECT uniques.id, 'unique_key' INTO existing, way FROM gristmill.uniques
            WHERE uniques.queue = line AND uniques.key = wanted;
    END IF;
END
$gristmill_function$;

-- Stores one job that has been checked, in a queue that is there, and returns its answer; NULL, with nothing written, where
-- `outbox_store` has to. It sets no search path: its callers have.
CREATE OR REPLACE FUNCTION gristmill.outbox_put(
    new_id uuid, kind text, queue text, urgency integer, most integer, args text, options text, unique_key text,
    now bigint, due bigint, is_held boolean) RETURNS text
    LANGUAGE plpgsql
    AS $gristmill_function$
DECLARE
    line integer;
    wanted CONSTANT bytea := convert_to(unique_key, 'UTF8');
    existing uuid;
    way text;
BEGIN
    SELECT queues.queue INTO line FROM gristmill.queues WHERE queues.name = outbox_put.queue;
    IF NOT FOUND OR new_id >= gristmill.first_id(now + 3600000) THEN
        RETURN NULL;
    END IF;
    IF unique_key IS NOT NULL THEN
        INSERT INTO gristmill.uniques (queue, key, id) VALUES (line, wanted, new_id) ON CONFLICT DO NOTHING;
        IF NOT FOUND THEN
            SELECT held.existing, held.way INTO existing, way FROM gristmill.outbox_holder(new_id, line, wanted) AS held;
            -- NULL if the holder has gone meanwhile.
            RETURN CASE WHEN existing IS NOT NULL THEN format('{"existing":"%s","by":"%s"}', existing, way) END;
        END IF;
    END IF;
    INSERT INTO gristmill.jobs (id, created_at, queue, max_attempts, priority, kind, options, args)
        VALUES (new_id, now, line, most, urgency, kind, options, convert_to(args, 'UTF8'))
        ON CONFLICT DO NOTHING;
    IF NOT FOUND THEN
        IF unique_key IS NOT NULL THEN
            DELETE FROM gristmill.uniques WHERE uniques.queue = line AND uniques.key = wanted AND uniques.id = new_id;
        END IF;
        RETURN format('{"existing":"%s","by":"id"}', new_id);
    END IF;
    IF is_held THEN
        INSERT INTO gristmill.waiting (id, run_at, queue, run, attempt, priority, crashes, state)
            VALUES (new_id, now, line, 0, 0, urgency, 0, 0);
    ELSIF due > now THEN
        INSERT INTO gristmill.waiting (id, run_at, queue, run, attempt, priority, crashes, state)
            VALUES (new_id, due, line, 0, 0, urgency, 0, 1);
        way := pg_notify('gristmill_channel', concat('0 d', due))::text;
    ELSE
        INSERT INTO gristmill.ready (id, run_at, queue, run, attempt, priority, crashes)
            VALUES (new_id, due, line, 0, 0, urgency, 0);
        way := pg_notify('gristmill_channel',
            concat('0 a', line, ':', urgency, ':', due, ':', replace(new_id::text, '-', '')))::text;
    END IF;
    RETURN '{"created":true}';
END
$gristmill_function$;

-- `outbox_enqueue` of one job, with options, a unique key or a time. What is wrong or rare is left to `outbox_store`.
CREATE OR REPLACE FUNCTION gristmill.outbox_store_one(request text) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
DECLARE
    asked CONSTANT jsonb := request;
    written CONSTANT json := request::json #> '{jobs,0}';
    job CONSTANT jsonb := asked #> '{jobs,0}';
    -- As it is written, which only `json` keeps.
    options CONSTANT text := written -> 'options';
    now CONSTANT bigint := floor(date_part('epoch', clock_timestamp()) * 1000);
    last_instant CONSTANT bigint := 253402207200000;
    -- As JSON, so that a text has quotes.
    protocol CONSTANT text := asked -> 'protocol';
    answer text;
BEGIN
    -- In an IF of its own: the next statement is planned with the protocol as an integer.
    IF protocol ~ '^[0-9]{1,9}$' THEN
        PERFORM FROM gristmill.versions
            WHERE versions.one AND protocol::integer BETWEEN versions.outbox_oldest AND versions.outbox_newest;
    END IF;
    IF FOUND AND gristmill.outbox_job_fault(job) IS NULL AND gristmill.outbox_twice(written) IS NULL
            AND (options IS NULL OR gristmill.outbox_options_fault(options::json) IS NULL) THEN
        answer := gristmill.outbox_put((job ->> 'id')::uuid, job ->> 'kind', job ->> 'queue',
            (job ->> 'priority')::integer, (job ->> 'max_attempts')::integer, job ->> 'args', options,
            job -> 'options' ->> 'unique_key', now,
            least(coalesce((job ->> 'at_ms')::numeric, now + coalesce((job ->> 'delay_ms')::numeric, 0)), last_instant)::bigint,
            job ? 'suspended');
        IF answer IS NOT NULL THEN
            RETURN format('{"now_ms":%s,"answers":[%s]}', now, answer);
        END IF;
    END IF;
    RETURN gristmill.outbox_store(request);
END
$gristmill_function$;

-- Stores jobs in the caller's transaction.
--
-- One plain job of a queue that is there takes a short way: two inserts. One with options, a key or a time takes
-- `outbox_store_one`. Everything else, and all that is wrong, is the business of `outbox_store`; a protocol that is not
-- accepted, too. `ON CONFLICT` names no column: the partitions' indexes would be looked for each time. In the order of
-- jsonb a number comes behind every text, so that one comparison holds a member to its lowest value and to its type. That no
-- member comes twice is counted: outside of strings, where quotes are escaped, a quote and a colon end the name of each of
-- the eight members.
CREATE OR REPLACE FUNCTION gristmill.outbox_enqueue(request text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    AS $gristmill_function$
DECLARE
    asked CONSTANT pg_catalog.jsonb := request;
    job CONSTANT pg_catalog.jsonb := asked OPERATOR(pg_catalog.#>) '{jobs,0}';
    -- As JSON, so that a text has quotes.
    protocol CONSTANT pg_catalog.text := asked OPERATOR(pg_catalog.->) 'protocol';
    kind CONSTANT pg_catalog.text := job OPERATOR(pg_catalog.->>) 'kind';
    args CONSTANT pg_catalog.text := job OPERATOR(pg_catalog.->>) 'args';
    urgency CONSTANT pg_catalog.int4 := job OPERATOR(pg_catalog.->>) 'priority';
    most CONSTANT pg_catalog.int4 := job OPERATOR(pg_catalog.->>) 'max_attempts';
    now CONSTANT pg_catalog.int8 := pg_catalog.floor(
        pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.*) 1000);
    -- Without the quotes and colons that are in strings.
    plain CONSTANT pg_catalog.text := pg_catalog.replace(request, E'\\":', '');
    new_id pg_catalog.uuid;
    line pg_catalog.int4;
    told pg_catalog.text;
BEGIN
    IF (job OPERATOR(pg_catalog.-) '{id,kind,queue,priority,max_attempts,args}'::pg_catalog.text[]) OPERATOR(pg_catalog.=) '{}'
        AND pg_catalog.jsonb_array_length(asked OPERATOR(pg_catalog.->) 'jobs') OPERATOR(pg_catalog.=) 1
        AND protocol OPERATOR(pg_catalog.~) '^[0-9]{1,9}$'
        AND kind OPERATOR(pg_catalog.!~) '[^-A-Za-z0-9._:/]' AND kind OPERATOR(pg_catalog.<>) ''
        AND pg_catalog.octet_length(kind) OPERATOR(pg_catalog.<=) 64
        AND pg_catalog.octet_length(job OPERATOR(pg_catalog.->>) 'id') OPERATOR(pg_catalog.=) 36
        AND (job OPERATOR(pg_catalog.->) 'priority') OPERATOR(pg_catalog.>=) '-10' AND urgency OPERATOR(pg_catalog.<=) 10
        AND (job OPERATOR(pg_catalog.->) 'max_attempts') OPERATOR(pg_catalog.>=) '1' AND most OPERATOR(pg_catalog.<=) 65535
        AND pg_catalog.jsonb_typeof(job OPERATOR(pg_catalog.->) 'args') OPERATOR(pg_catalog.=) 'string'
        AND pg_catalog.jsonb_typeof(job OPERATOR(pg_catalog.->) 'kind') OPERATOR(pg_catalog.=) 'string'
        AND pg_catalog.jsonb_typeof(job OPERATOR(pg_catalog.->) 'queue') OPERATOR(pg_catalog.=) 'string'
        AND pg_catalog.octet_length(args) OPERATOR(pg_catalog.<=) 1048576 AND args::pg_catalog.json IS NOT NULL
        AND (NOT gristmill.outbox_is_odd(args) OR gristmill.outbox_json_fault(args) IS NULL)
        AND pg_catalog.octet_length(plain) OPERATOR(pg_catalog.-)
            pg_catalog.octet_length(pg_catalog.replace(plain, '":', '"')) OPERATOR(pg_catalog.=) 8
        AND request OPERATOR(pg_catalog.!~) '"[[:space:]]+:'
    THEN
        new_id := job OPERATOR(pg_catalog.->>) 'id';
        SELECT queues.queue INTO line FROM gristmill.queues, gristmill.versions
            WHERE queues.name OPERATOR(pg_catalog.=) (job OPERATOR(pg_catalog.->>) 'queue') AND versions.one
                AND versions.outbox_oldest OPERATOR(pg_catalog.<=) protocol::pg_catalog.int4
                AND versions.outbox_newest OPERATOR(pg_catalog.>=) protocol::pg_catalog.int4;
        -- As `outbox_refuse_ahead`.
        IF FOUND AND new_id OPERATOR(pg_catalog.<) pg_catalog.rpad(
                pg_catalog.lpad(pg_catalog.to_hex(now OPERATOR(pg_catalog.+) 3600000), 12, '0'), 32, '0')::pg_catalog.uuid
        THEN
            INSERT INTO gristmill.jobs (id, created_at, queue, max_attempts, priority, kind, args)
                VALUES (new_id, now, line, most, urgency, kind, pg_catalog.convert_to(args, 'UTF8'))
                ON CONFLICT DO NOTHING;
            IF FOUND THEN
                INSERT INTO gristmill.ready (id, run_at, queue, run, attempt, priority, crashes)
                    VALUES (new_id, now, line, 0, 0, urgency, 0);
                told := pg_catalog.pg_notify('gristmill_channel', pg_catalog.concat('0 a', line, ':', urgency, ':', now, ':',
                    pg_catalog.replace(new_id::pg_catalog.text, '-', '')))::pg_catalog.text;
                RETURN pg_catalog.concat('{"now_ms":', now, ',"answers":[{"created":true}]}');
            END IF;
        END IF;
    ELSIF pg_catalog.jsonb_array_length(asked OPERATOR(pg_catalog.->) 'jobs') OPERATOR(pg_catalog.=) 1 THEN
        RETURN gristmill.outbox_store_one(request);
    END IF;
    RETURN gristmill.outbox_store(request);
END
$gristmill_function$;
