-- The outbox: functions that store, cancel, update and show jobs in the caller's transaction, for any driver and any
-- language. `outbox_*` take and give JSON and are for libraries; `enqueue` is for people and triggers.
--
-- They run with the rights of the role that migrated, so a role that only produces needs none on the tables. What they do
-- is what this library does by its own statements (`sql/`), and in the same order of locks. No function of the schema may
-- be called by everybody.
--
-- Whoever is called sets the search path, so that nobody's own functions and operators come before the server's. That
-- costs a third of what a plain insert does, so `outbox_enqueue`, whose speed is its worth, names the schema of each
-- operator and function instead: with anything unqualified in it the caller would run code with the owner's rights.
-- `gristmill_channel` stands for the channel that workers listen on.

-- What is wrong with the options of a job, or NULL: what a worker could not read would lose a job its unique key, its
-- retention and its tags. Durations are `{"secs":1,"nanos":0}`. Members that are not known are let through, as a worker
-- passes over them. This one and the next set no search path, since they are asked once a job: their callers have.
CREATE FUNCTION gristmill.outbox_options_fault(options json) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT
    AS $gristmill_function$
DECLARE
    -- No backslashes: what they mean is a setting of the caller's.
    length_of CONSTANT text := '[{]"secs":[0-9]{1,20},"nanos":[0-9]{1,9}[}]';
    part text;
    member json;
BEGIN
    IF json_typeof(options) <> 'object' THEN
        RETURN 'options are no object';
    END IF;
    FOR part IN SELECT key FROM json_object_keys(options) AS key GROUP BY key HAVING count(*) > 1 LOOP
        RETURN format('options name `%s` twice', part);
    END LOOP;
    FOR part, member IN SELECT * FROM json_each(options) LOOP
        IF part = 'unique_key' AND (json_typeof(member) <> 'string'
                OR octet_length(convert_to(options ->> 'unique_key', 'UTF8')) NOT BETWEEN 1 AND 255) THEN
            RETURN 'unique_key is no text of 1 to 255 bytes';
        ELSIF part = 'timeout_ms' AND (member::text !~ '^[0-9]{1,20}$'
                OR member::text::numeric NOT BETWEEN 1 AND 18446744073709551615) THEN
            RETURN 'timeout_ms is no number of milliseconds from 1 on';
        ELSIF part = 'retention' AND (position('"retention"' IN options::text) = 0 OR member::text !~ replace(
                '^[{]"completed":D,"cancelled":D,"discarded":D[}]$', 'D', length_of)) THEN
            RETURN 'retention is not written as this library writes it';
        ELSIF part = 'retry' AND (member::text !~ replace(
                '^[{]"backoff":[{]("exponential":[{]"base":D,"factor":[-+.0-9e]+,"cap":D[}]'
                || '|"linear":[{]"step":D,"cap":D[}]|"fixed":D|"table":[[](D(,D)*)?[]])[}],'
                || '"jitter":("none"|"full"|[{]"percent":[0-9]{1,3}[}])[}]$', 'D', length_of)
                OR cardinality(string_to_array(member::text, '"secs"')) > 1001) THEN
            RETURN 'retry is not written as this library writes it';
        ELSIF part = 'metadata' AND (json_typeof(member) <> 'object' OR octet_length(member::text) > 65536) THEN
            RETURN 'metadata is no object of at most 65536 bytes';
        ELSIF part = 'tags' AND json_typeof(member) <> 'array' THEN
            RETURN 'tags are no list';
        ELSIF part = 'tags' AND (json_array_length(member) > 32 OR EXISTS (
                SELECT FROM json_array_elements(member) AS tag
                WHERE json_typeof(tag) <> 'string' OR tag #>> '{}' !~ '^[-A-Za-z0-9._:/]{1,64}$')) THEN
            RETURN 'tags are no list of at most 32 names';
        END IF;
    END LOOP;
    RETURN NULL;
END
$gristmill_function$;

-- What is wrong with a job of a request, or NULL. What is no number, UUID or JSON at all makes a cast fail.
CREATE FUNCTION gristmill.outbox_job_fault(job jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $gristmill_function$
SELECT CASE
    WHEN jsonb_typeof(job) <> 'object' THEN 'it is no object'
    WHEN NOT job ?& '{id,kind,queue,priority,max_attempts,args}' THEN
        'it lacks one of id, kind, queue, priority, max_attempts, args'
    WHEN job - '{id,kind,queue,priority,max_attempts,args,options,key,delay_ms,at_ms,suspended}'::text[] <> '{}' THEN
        'it has a member that is not known'
    WHEN (job ->> 'id')::uuid IS NULL THEN 'id is no UUID'
    WHEN (job ->> 'kind' ~ '^[-A-Za-z0-9._:/]{1,64}$') IS NOT TRUE THEN 'kind is no name'
    WHEN (job ->> 'queue' ~ '^[-A-Za-z0-9._:/]{1,64}$') IS NOT TRUE THEN 'queue is no name'
    WHEN ((job ->> 'priority')::integer BETWEEN -10 AND 10) IS NOT TRUE THEN 'priority is no number from -10 to 10'
    WHEN ((job ->> 'max_attempts')::integer BETWEEN 1 AND 65535) IS NOT TRUE THEN
        'max_attempts is no number from 1 to 65535'
    WHEN jsonb_typeof(job -> 'args') <> 'string' THEN 'args are not given as text'
    WHEN octet_length(job ->> 'args') > 16777216 THEN 'args are larger than 16 MiB'
    WHEN (job ->> 'args')::json IS NULL THEN 'args are no JSON'
    WHEN (job ? 'delay_ms')::integer + (job ? 'at_ms')::integer + (job ? 'suspended')::integer > 1 THEN
        'it has more than one of delay_ms, at_ms, suspended'
    WHEN job ? 'delay_ms' AND (job ->> 'delay_ms' ~ '^[0-9]{1,20}$') IS NOT TRUE THEN
        'delay_ms is no number of milliseconds'
    WHEN job ? 'at_ms' AND (job ->> 'at_ms' ~ '^[0-9]{1,20}$') IS NOT TRUE THEN 'at_ms is no instant in milliseconds'
    WHEN job ? 'suspended' AND job -> 'suspended' <> 'true' THEN 'suspended is not true'
    WHEN encode(convert_to(job -> 'options' ->> 'unique_key', 'UTF8'), 'hex') IS DISTINCT FROM lower(job ->> 'key') THEN
        'key is not the hexadecimal form of the options'' unique_key'
END
$gristmill_function$;

-- The version of the schema.
CREATE FUNCTION gristmill.outbox_schema() RETURNS integer
    LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$ SELECT max(version) FROM gristmill.migrations $gristmill_function$;

-- The answer to whoever was built for another version of the schema; NULL for this one.
CREATE FUNCTION gristmill.outbox_refusal(asked jsonb) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
BEGIN
    IF jsonb_typeof(asked) <> 'object' OR jsonb_typeof(asked -> 'schema') IS DISTINCT FROM 'number' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the request names no version of the schema';
    ELSIF (asked ->> 'schema')::numeric = gristmill.outbox_schema() THEN
        RETURN NULL;
    END IF;
    RETURN format('{"error":{"why":"schema","schema":%s}}', gristmill.outbox_schema());
END
$gristmill_function$;

-- The numbers of queues by their names, in their order; new queues are made.
CREATE FUNCTION gristmill.outbox_queues(names text[]) RETURNS integer[]
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp SET enable_seqscan = off
    AS $gristmill_function$
DECLARE
    numbers integer[];
BEGIN
    FOR round IN 1..3 LOOP
        SELECT array_agg(known.queue ORDER BY wanted.place) INTO numbers
            FROM unnest(names) WITH ORDINALITY AS wanted (name, place) LEFT JOIN LATERAL (
                SELECT queues.queue FROM gristmill.queues WHERE queues.name = wanted.name OFFSET 0) AS known ON true;
        IF array_position(numbers, NULL) IS NULL THEN
            RETURN numbers;
        END IF;
        -- In the order of the names, so that two callers do not block each other crosswise.
        INSERT INTO gristmill.queues (name)
            SELECT wanted.name FROM (SELECT DISTINCT unnest(names) COLLATE "C" AS name) AS wanted
            WHERE NOT EXISTS (SELECT FROM gristmill.queues AS known WHERE known.name = wanted.name)
            ORDER BY wanted.name
            ON CONFLICT (name) DO NOTHING;
    END LOOP;
    RAISE serialization_failure USING MESSAGE = 'a queue was made by another transaction that this one cannot see';
END
$gristmill_function$;

-- Tells all processes, once the transaction commits. Items that do not fit one notification go in several.
CREATE FUNCTION gristmill.outbox_tell(items text[]) RETURNS void
    LANGUAGE sql SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
SELECT pg_notify('gristmill_channel', '0 ' || string_agg(told.item, ' ' ORDER BY told.place))
FROM unnest(items) WITH ORDINALITY AS told (item, place) GROUP BY (told.place - 1) / 100
$gristmill_function$;

-- Takes the unique keys of jobs, which are in open places, and says of each who holds its key now and whether this call took
-- it. Keys are taken in ascending order; one that another transaction is taking or freeing is waited for.
CREATE FUNCTION gristmill.outbox_take_keys(open integer[], ids uuid[], queues integer[], keys bytea[])
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

-- `outbox_enqueue` in full: any number of jobs, with unique keys, options and times, in new queues. A job that is there
-- already, by its id or its unique key, writes nothing and is an answer.
CREATE FUNCTION gristmill.outbox_store(request text) RETURNS text
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
    IF fault IS NOT NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = format('job %s of the request: %s', place, fault);
    END IF;
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
            SELECT element.*, row_number() OVER (PARTITION BY element.job ->> 'id' ORDER BY element.place) AS times
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

-- Stores jobs in the caller's transaction.
--
-- One plain job of a queue that is there takes a short way: two inserts. Everything else, and all that is wrong, is the
-- business of `outbox_store`; a later version of the schema, too, until it makes this function anew. `ON CONFLICT` names
-- no column: the partitions' indexes would be looked for each time.
CREATE FUNCTION gristmill.outbox_enqueue(request text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    AS $gristmill_function$
DECLARE
    asked CONSTANT pg_catalog.jsonb := request;
    job CONSTANT pg_catalog.jsonb := asked OPERATOR(pg_catalog.#>) '{jobs,0}';
    kind CONSTANT pg_catalog.text := job OPERATOR(pg_catalog.->>) 'kind';
    args CONSTANT pg_catalog.text := job OPERATOR(pg_catalog.->>) 'args';
    urgency CONSTANT pg_catalog.int4 := job OPERATOR(pg_catalog.->>) 'priority';
    most CONSTANT pg_catalog.int4 := job OPERATOR(pg_catalog.->>) 'max_attempts';
    now CONSTANT pg_catalog.int8 := pg_catalog.floor(
        pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) OPERATOR(pg_catalog.*) 1000);
    new_id pg_catalog.uuid;
    line pg_catalog.int4;
    told pg_catalog.text;
BEGIN
    IF (job OPERATOR(pg_catalog.-) '{id,kind,queue,priority,max_attempts,args}'::pg_catalog.text[]) OPERATOR(pg_catalog.=) '{}'
        AND pg_catalog.jsonb_array_length(asked OPERATOR(pg_catalog.->) 'jobs') OPERATOR(pg_catalog.=) 1
        AND (asked OPERATOR(pg_catalog.->>) 'schema') OPERATOR(pg_catalog.=) '2'
        AND kind OPERATOR(pg_catalog.!~) '[^-A-Za-z0-9._:/]' AND kind OPERATOR(pg_catalog.<>) ''
        AND pg_catalog.octet_length(kind) OPERATOR(pg_catalog.<=) 64
        AND urgency OPERATOR(pg_catalog.>=) -10 AND urgency OPERATOR(pg_catalog.<=) 10
        AND most OPERATOR(pg_catalog.>=) 1 AND most OPERATOR(pg_catalog.<=) 65535
        AND pg_catalog.jsonb_typeof(job OPERATOR(pg_catalog.->) 'args') OPERATOR(pg_catalog.=) 'string'
        AND pg_catalog.octet_length(args) OPERATOR(pg_catalog.<=) 16777216 AND args::pg_catalog.json IS NOT NULL
    THEN
        new_id := job OPERATOR(pg_catalog.->>) 'id';
        SELECT queues.queue INTO line FROM gristmill.queues
            WHERE queues.name OPERATOR(pg_catalog.=) (job OPERATOR(pg_catalog.->>) 'queue')
                AND NOT EXISTS (SELECT FROM gristmill.migrations WHERE migrations.version OPERATOR(pg_catalog.>) 2);
        IF FOUND THEN
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
    END IF;
    RETURN gristmill.outbox_store(request);
END
$gristmill_function$;

-- Ends a call by the error of a bad value, 22023, which names it and the remedy.
CREATE FUNCTION gristmill.outbox_refuse(message text, remedy text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
BEGIN
    RAISE invalid_parameter_value USING MESSAGE = message, HINT = remedy;
END
$gristmill_function$;

-- A member that is a whole number within bounds; NULL where it is not there.
CREATE FUNCTION gristmill.outbox_whole(members jsonb, part text, lowest numeric, highest numeric) RETURNS numeric
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
DECLARE
    given CONSTANT jsonb := members -> part;
BEGIN
    IF given IS NULL THEN
        RETURN NULL;
    ELSIF jsonb_typeof(given) = 'number' AND (given::numeric BETWEEN lowest AND highest) AND given::numeric % 1 = 0 THEN
        RETURN given::numeric;
    END IF;
    PERFORM gristmill.outbox_refuse(format('`%s` cannot be %s', part, left(given::text, 64)),
        format('Give `%s` a whole number from %s to %s.', part, lowest, highest));
END
$gristmill_function$;

-- A member that is a name; NULL where it is not there.
CREATE FUNCTION gristmill.outbox_name(given jsonb, part text) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
BEGIN
    IF given IS NOT NULL AND (jsonb_typeof(given) <> 'string' OR given #>> '{}' !~ '^[-A-Za-z0-9._:/]{1,64}$') THEN
        PERFORM gristmill.outbox_refuse(format('`%s` cannot be %s', part, left(given::text, 80)),
            format('Give `%s` a name: 1 to 64 of the characters A-Z a-z 0-9 . _ : / -', part));
    END IF;
    RETURN given #>> '{}';
END
$gristmill_function$;

-- Refuses members that are not known.
CREATE FUNCTION gristmill.outbox_known(members jsonb, part text, known text[]) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
BEGIN
    IF jsonb_typeof(members) <> 'object' THEN
        PERFORM gristmill.outbox_refuse(format('`%s` cannot be %s', part, left(members::text, 64)),
            format('Give `%s` an object with members of these: %s.', part, array_to_string(known, ', ')));
    ELSIF members - known <> '{}' THEN
        PERFORM gristmill.outbox_refuse(
            format('`%s` has no member `%s`', part, (SELECT left(name, 64) FROM jsonb_object_keys(members - known) AS name LIMIT 1)),
            format('The members of `%s` are: %s.', part, array_to_string(known, ', ')));
    END IF;
END
$gristmill_function$;

-- Refuses JSON that some store or reader would change: nested deeper than 30 levels, or with numbers that fit no 64 bits.
CREATE FUNCTION gristmill.outbox_json(given jsonb, part text, most_bytes integer) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
DECLARE
    given_text CONSTANT text := given::text;
BEGIN
    IF octet_length(convert_to(given_text, 'UTF8')) > most_bytes THEN
        PERFORM gristmill.outbox_refuse(format('`%s` has %s bytes', part, octet_length(convert_to(given_text, 'UTF8'))),
            format('Keep `%s` within %s bytes: store large inputs elsewhere and pass a reference.', part, most_bytes));
    ELSIF length(given_text) > 60 AND jsonb_path_exists(
            given, 'strict $.**{30 to last} ? (@.type() == "object" || @.type() == "array")') THEN
        PERFORM gristmill.outbox_refuse(format('`%s` is nested deeper than 30 levels', part),
            format('Make `%s` flatter, or pass an inner part of it as text.', part));
    ELSIF given_text ~ '[0-9]{19}' AND jsonb_path_exists(given, 'strict $.** ? (@.type() == "number") ? (
            @.abs() > 1.7976931348623157e308
            || ((@ > 18446744073709551615 || @ < -9223372036854775808) && @.floor() == @))') THEN
        PERFORM gristmill.outbox_refuse(format('`%s` has a number that does not fit 64 bits', part), 'Pass it as text.');
    END IF;
END
$gristmill_function$;

-- A duration as workers read it; where it is not there, another one.
CREATE FUNCTION gristmill.outbox_duration(members jsonb, part text, other bigint) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
DECLARE
    given CONSTANT bigint := coalesce(gristmill.outbox_whole(members, part, 0, 9223372036854775807), other);
BEGIN
    IF given IS NULL THEN
        PERFORM gristmill.outbox_refuse(format('`%s` is missing', part), format('Give `%s` a number of milliseconds.', part));
    END IF;
    RETURN format('{"secs":%s,"nanos":%s}', given / 1000, given % 1000 * 1000000);
END
$gristmill_function$;

-- When a failed attempt is tried again, from a form for people to the one workers read.
CREATE FUNCTION gristmill.outbox_retry(given jsonb) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
DECLARE
    kinds CONSTANT text[] := '{exponential,linear,fixed_ms,table_ms}';
    kind text;
    inner_part jsonb;
    backoff text;
    jitter text := '{"percent":10}';
BEGIN
    PERFORM gristmill.outbox_known(given, 'retry', kinds || '{jitter}'::text[]);
    SELECT min(name), given -> min(name) INTO kind, inner_part FROM unnest(kinds) AS name WHERE given ? name HAVING count(*) = 1;
    IF kind IS NULL THEN
        PERFORM gristmill.outbox_refuse('`retry` does not say one way to wait',
            'Give `retry` one of exponential, linear, fixed_ms, table_ms.');
    ELSIF kind = 'exponential' THEN
        PERFORM gristmill.outbox_known(inner_part, kind, '{base_ms,factor,cap_ms}');
        IF (jsonb_typeof(inner_part -> 'factor') = 'number' AND (inner_part -> 'factor')::numeric BETWEEN 0 AND 1000000) IS NOT TRUE THEN
            PERFORM gristmill.outbox_refuse('`factor` is no number from 0 to 1000000', 'Give `factor` 2 to double the wait.');
        END IF;
        backoff := format('{"exponential":{"base":%s,"factor":%s,"cap":%s}}', gristmill.outbox_duration(inner_part, 'base_ms', NULL),
            inner_part -> 'factor', gristmill.outbox_duration(inner_part, 'cap_ms', NULL));
    ELSIF kind = 'linear' THEN
        PERFORM gristmill.outbox_known(inner_part, kind, '{step_ms,cap_ms}');
        backoff := format('{"linear":{"step":%s,"cap":%s}}',
            gristmill.outbox_duration(inner_part, 'step_ms', NULL), gristmill.outbox_duration(inner_part, 'cap_ms', NULL));
    ELSIF kind = 'fixed_ms' THEN
        backoff := format('{"fixed":%s}', gristmill.outbox_duration(given, kind, NULL));
    ELSIF jsonb_typeof(inner_part) <> 'array' OR jsonb_array_length(inner_part) > 1000 THEN
        PERFORM gristmill.outbox_refuse('`table_ms` is no list of at most 1000 numbers',
            'Give `table_ms` one number of milliseconds an attempt.');
    ELSE
        backoff := format('{"table":[%s]}', (
            SELECT string_agg(gristmill.outbox_duration(jsonb_build_object('table_ms', wait), 'table_ms', NULL), ',' ORDER BY place)
            FROM jsonb_array_elements(inner_part) WITH ORDINALITY AS item (wait, place)));
    END IF;
    IF given -> 'jitter' IN ('"none"', '"full"') THEN
        jitter := given -> 'jitter';
    ELSIF given ? 'jitter' THEN
        jitter := format('{"percent":%s}', gristmill.outbox_whole(given, 'jitter', 0, 100));
    END IF;
    RETURN format('{"backoff":%s,"jitter":%s}', backoff, jitter);
END
$gristmill_function$;

-- The options of a job as workers read them, from those that `enqueue` was given; NULL for none.
CREATE FUNCTION gristmill.outbox_options(given jsonb) RETURNS text
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
DECLARE
    parts text[] := '{}';
BEGIN
    IF given ? 'unique_key' THEN
        IF jsonb_typeof(given -> 'unique_key') <> 'string'
                OR octet_length(convert_to(given ->> 'unique_key', 'UTF8')) NOT BETWEEN 1 AND 255 THEN
            PERFORM gristmill.outbox_refuse(format('`unique_key` cannot be %s', left((given -> 'unique_key')::text, 64)),
                'Give `unique_key` a text of 1 to 255 bytes, or leave it out.');
        END IF;
        parts := parts || format('"unique_key":%s', given -> 'unique_key');
    END IF;
    IF given ? 'timeout_ms' THEN
        parts := parts || format('"timeout_ms":%s', gristmill.outbox_whole(given, 'timeout_ms', 1, 9223372036854775807)::bigint);
    END IF;
    IF given ? 'retry' THEN
        parts := parts || format('"retry":%s', gristmill.outbox_retry(given -> 'retry'));
    END IF;
    IF given ? 'retention' THEN
        PERFORM gristmill.outbox_known(given -> 'retention', 'retention', '{completed_ms,cancelled_ms,discarded_ms}');
        parts := parts || format('"retention":{"completed":%s,"cancelled":%s,"discarded":%s}',
            gristmill.outbox_duration(given -> 'retention', 'completed_ms', 86400000),
            gristmill.outbox_duration(given -> 'retention', 'cancelled_ms', 604800000),
            gristmill.outbox_duration(given -> 'retention', 'discarded_ms', 2592000000));
    END IF;
    IF given ? 'tags' THEN
        IF jsonb_typeof(given -> 'tags') <> 'array' OR jsonb_array_length(given -> 'tags') > 32 THEN
            PERFORM gristmill.outbox_refuse('`tags` is no list of at most 32 names', 'Give `tags` a list such as ["mail", "eu"].');
        ELSIF given -> 'tags' <> '[]' THEN
            parts := parts || format('"tags":[%s]', (
                SELECT string_agg(to_jsonb(gristmill.outbox_name(tag, 'tags'))::text, ',' ORDER BY place)
                FROM jsonb_array_elements(given -> 'tags') WITH ORDINALITY AS item (tag, place)));
        END IF;
    END IF;
    IF given ? 'metadata' THEN
        IF jsonb_typeof(given -> 'metadata') <> 'object' THEN
            PERFORM gristmill.outbox_refuse('`metadata` is no object', 'Give `metadata` an object such as {"tenant": "acme"}.');
        END IF;
        PERFORM gristmill.outbox_json(given -> 'metadata', 'metadata', 65536);
        IF given -> 'metadata' <> '{}' THEN
            parts := parts || format('"metadata":%s', given -> 'metadata');
        END IF;
    END IF;
    RETURN CASE WHEN parts <> '{}' THEN '{' || array_to_string(parts, ',') || '}' END;
END
$gristmill_function$;

-- A new id: a UUID of version 7, whose counter begins with the microseconds, so that ids of one session grow.
CREATE FUNCTION gristmill.outbox_new_id() RETURNS uuid
    LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
DECLARE
    micros CONSTANT bigint := floor(extract(epoch FROM clock_timestamp()) * 1000000);
    noise CONSTANT text := replace(gen_random_uuid()::text, '-', '');
    -- 10 bits of microseconds, of which the upper 9 come before the variant; 15 of noise. The highest bit of 26 stays 0.
    counter CONSTANT integer := ((micros % 1000)::integer << 15) | (('x' || substr(noise, 1, 4))::bit(16)::integer & 32767);
BEGIN
    RETURN (lpad(to_hex(micros / 1000), 12, '0') || '7' || lpad(to_hex(counter >> 14), 3, '0')
        || to_hex(32768 | (counter & 16383)) || substr(noise, 21, 12))::uuid;
END
$gristmill_function$;

CREATE FUNCTION gristmill.enqueue(kind text, args jsonb DEFAULT '{}', options jsonb DEFAULT '{}') RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
DECLARE
    given CONSTANT jsonb := coalesce(options, '{}');
    schema_version CONSTANT integer := 2;
    job jsonb;
    stored_options text;
    id uuid;
    answer jsonb;
BEGIN
    IF kind IS NULL OR args IS NULL THEN
        PERFORM gristmill.outbox_refuse(format('`%s` is NULL', CASE WHEN kind IS NULL THEN 'kind' ELSE 'args' END),
            'Give the name of a kind, and args such as ''{}''.');
    END IF;
    PERFORM gristmill.outbox_known(given, 'options', '{queue,priority,max_attempts,delay_ms,run_at,suspended,timeout_ms,'
        'retry,retention,unique_key,tags,metadata,id}');
    PERFORM gristmill.outbox_json(args, 'args', 1048576);
    id := gristmill.outbox_new_id();
    IF given ? 'id' THEN
        -- Where an id lies in time decides in which partition its job is kept, and for how long.
        IF (given ->> 'id' ~* '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$') IS NOT TRUE
                OR gristmill.made_at((given ->> 'id')::uuid) > gristmill.now_ms(NULL) + 86400000 THEN
            PERFORM gristmill.outbox_refuse(format('`id` cannot be %s', left((given -> 'id')::text, 64)),
                'Leave `id` out to have one made, or give a UUID of version 7 that was made before now.');
        END IF;
        id := given ->> 'id';
    END IF;
    job := jsonb_build_object('id', id, 'kind', gristmill.outbox_name(to_jsonb(kind), 'kind'),
        'queue', coalesce(gristmill.outbox_name(given -> 'queue', 'queue'), 'default'),
        'priority', coalesce(gristmill.outbox_whole(given, 'priority', -10, 10)::integer, 0),
        'max_attempts', coalesce(gristmill.outbox_whole(given, 'max_attempts', 1, 65535)::integer, 20), 'args', args::text);
    IF given ? 'delay_ms' THEN
        job := job || jsonb_build_object('delay_ms', gristmill.outbox_whole(given, 'delay_ms', 0, 9223372036854775807)::bigint);
    END IF;
    IF given ? 'run_at' THEN
        BEGIN
            -- With its zone: the session's own is the caller's affair.
            IF (given ->> 'run_at' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{5,15}(Z|[-+][0-9]{2}(:?[0-9]{2})?)$') IS NOT TRUE THEN
                RAISE datetime_field_overflow;
            END IF;
            job := job || jsonb_build_object('at_ms',
                greatest(floor(extract(epoch FROM (given ->> 'run_at')::timestamptz) * 1000)::bigint, 0));
        EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format THEN
            PERFORM gristmill.outbox_refuse(format('`run_at` cannot be %s', left((given -> 'run_at')::text, 64)),
                'Give `run_at` a time with its zone such as 2026-11-22T10:00:00Z, or to_jsonb(now() + interval ''1 hour'').');
        END;
    END IF;
    IF given -> 'suspended' NOT IN ('true', 'false') THEN
        PERFORM gristmill.outbox_refuse(format('`suspended` cannot be %s', left((given -> 'suspended')::text, 64)),
            'Give `suspended` true or false.');
    ELSIF given -> 'suspended' = 'true' THEN
        job := job || '{"suspended":true}';
    END IF;
    IF (job ? 'delay_ms')::integer + (job ? 'at_ms')::integer + (job ? 'suspended')::integer > 1 THEN
        PERFORM gristmill.outbox_refuse('a job has one time', 'Give one of `delay_ms`, `run_at` and `suspended`.');
    END IF;
    stored_options := gristmill.outbox_options(given);
    IF given ? 'unique_key' THEN
        job := job || jsonb_build_object('key', encode(convert_to(given ->> 'unique_key', 'UTF8'), 'hex'));
    END IF;
    answer := gristmill.outbox_enqueue(format('{"schema":%s,"jobs":[%s]}', schema_version,
        CASE WHEN stored_options IS NULL THEN job::text ELSE left(job::text, -1) || ',"options":' || stored_options || '}' END));
    IF answer ? 'error' THEN
        RAISE object_not_in_prerequisite_state
            USING MESSAGE = format('this function is of version %s, its schema of version %s', schema_version, answer #>> '{error,schema}'),
            HINT = 'Run `gristmill migrate` of the latest version in use.';
    END IF;
    RETURN coalesce((answer #>> '{answers,0,existing}')::uuid, id);
END
$gristmill_function$;

-- Where jobs are, of one moment, and so what their states are; as `sql/locate.sql`. A running job has the nonce of its claim.
CREATE FUNCTION gristmill.outbox_locate(ids uuid[])
    RETURNS TABLE (
        place bigint, id uuid, state smallint, queue integer, priority smallint, max_attempts integer, created_at bigint,
        options text, kind text, args bytea, run integer, attempt integer, crashes smallint, run_at bigint,
        finished_at bigint, reason text, nonce uuid)
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
        coalesce(member.run_at, job.run_at), CASE WHEN job.state >= 5 THEN job.finished_at END, job.reason, member.nonce
    FROM job LEFT JOIN member ON member.id = job.id AND member.run > job.latest_run AND job.state = 3;
END
$gristmill_function$;

-- Jobs disappear with all that belongs to them, as by `sql/bar_quick_finishes.sql` and `sql/erase.sql`. Claims may list them
-- still.
CREATE FUNCTION gristmill.outbox_erase(gone uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
    AS $gristmill_function$
BEGIN
    WITH wanted AS MATERIALIZED (SELECT unnest(gone) AS id),
    listing AS MATERIALIZED (
        SELECT claims.nonce FROM gristmill.claims
        WHERE claims.cancels IS NULL AND EXISTS (
            SELECT FROM unnest(claims.ids) AS member (id) WHERE (member.id IN (SELECT wanted.id FROM wanted)) IS TRUE)
        ORDER BY claims.nonce FOR UPDATE
    )
    UPDATE gristmill.claims SET cancels = '{}' WHERE claims.nonce = ANY (ARRAY(SELECT listing.nonce FROM listing))
        AND claims.cancels IS NULL;
    DELETE FROM gristmill.ready WHERE id = ANY (gone);
    DELETE FROM gristmill.waiting WHERE id = ANY (gone);
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

-- How long a cancelled job stays (ms); less than a millisecond, but not zero, counts as a fraction.
CREATE FUNCTION gristmill.outbox_kept(options text) RETURNS numeric
    LANGUAGE sql IMMUTABLE SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
SELECT coalesce(CASE WHEN options LIKE '%"retention"%' THEN (
    SELECT (kept ->> 'secs')::numeric * 1000 + (kept ->> 'nanos')::numeric / 1000000
    FROM json_extract_path(options::json, 'retention', 'cancelled') AS kept) END, 604800000)
$gristmill_function$;

-- Cancels or updates jobs, each id once, whose rows in `jobs` the caller has locked; the verdicts in their order.
--
-- Locks come in the order of all operators' acts: the jobs where they are, then claims. A job may be fetched, finished or
-- promoted between the statement that locks it and the one that tells where it is; then it is looked for again.
CREATE FUNCTION gristmill.outbox_act(verb text, ids uuid[], patch jsonb, actor text, now bigint) RETURNS json[]
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
        IF nonces <> '{}' THEN
            locked := ARRAY(SELECT nonce FROM gristmill.claims WHERE nonce = ANY (nonces) ORDER BY nonce FOR UPDATE);
        END IF;
        still := '{}';
        FOR job IN SELECT * FROM gristmill.outbox_locate(open) LOOP
            IF job.state = 3 AND verb = 'cancel' AND job.nonce IS NOT NULL AND (job.nonce = ANY (locked)) IS NOT TRUE THEN
                nonces := nonces || job.nonce;
                still := still || job.id;
            ELSIF job.state NOT IN (3, 5) AND (job.id = ANY (places)) IS NOT TRUE THEN
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
        PERFORM gristmill.outbox_erase(erased);
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

-- Cancels or updates the jobs of a request.
CREATE FUNCTION gristmill.outbox_operate(verb text, request text) RETURNS text
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
    AS $gristmill_function$
DECLARE
    asked CONSTANT jsonb := request;
    now CONSTANT bigint := gristmill.now_ms(NULL);
    patch CONSTANT jsonb := coalesce(asked -> 'patch', '{}');
    refusal CONSTANT text := gristmill.outbox_refusal(asked);
    ids uuid[];
    times integer[];
    chosen integer[];
    acted json[];
    verdicts json[] := '{}';
BEGIN
    IF refusal IS NOT NULL THEN
        RETURN refusal;
    END IF;
    PERFORM gristmill.outbox_known(patch, 'patch', '{priority,max_attempts,args,delay_ms,at_ms,now}');
    PERFORM gristmill.outbox_whole(patch, 'priority', -10, 10), gristmill.outbox_whole(patch, 'max_attempts', 1, 65535),
        gristmill.outbox_whole(patch, 'delay_ms', 0, 18446744073709551615), gristmill.outbox_whole(patch, 'at_ms', 0, 18446744073709551615);
    -- The cast fails where the text is no JSON.
    IF patch ? 'args' AND (jsonb_typeof(patch -> 'args') <> 'string' OR octet_length(patch ->> 'args') > 16777216
            OR (patch ->> 'args')::json IS NULL) THEN
        RAISE invalid_parameter_value USING MESSAGE = 'args are no text of at most 16 MiB';
    ELSIF (patch ? 'delay_ms')::integer + (patch ? 'at_ms')::integer + (patch ? 'now')::integer > 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the patch has more than one of delay_ms, at_ms, now';
    ELSIF jsonb_typeof(asked -> 'ids') IS DISTINCT FROM 'array' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the request has no list of ids';
    ELSIF asked -> 'ids' = '[]' THEN
        RETURN '{"verdicts":[]}';
    END IF;
    SELECT array_agg(item.id ORDER BY item.place), array_agg(item.times::integer ORDER BY item.place) INTO ids, times FROM (
        SELECT element.id::uuid, element.place, row_number() OVER (PARTITION BY element.id::uuid ORDER BY element.place)
        FROM jsonb_array_elements_text(asked -> 'ids') WITH ORDINALITY AS element (id, place)) AS item (id, place, times);
    -- It keeps other operators, the pruner and the audit away.
    PERFORM FROM (SELECT DISTINCT unnest(ids) AS id ORDER BY 1) AS wanted CROSS JOIN LATERAL (
        SELECT FROM gristmill.jobs WHERE jobs.id = wanted.id FOR NO KEY UPDATE) AS held;
    verdicts := array_fill(NULL::json, ARRAY[cardinality(ids)]);
    -- Who is named twice is looked at again after the first act.
    FOR round IN 1..(SELECT max(number) FROM unnest(times) AS number) LOOP
        chosen := ARRAY(SELECT item.place FROM unnest(times) WITH ORDINALITY AS item (times, place)
            WHERE item.times = round ORDER BY item.place);
        acted := gristmill.outbox_act(verb, ARRAY(SELECT ids[item.place] FROM unnest(chosen) WITH ORDINALITY AS item (place, turn)
            ORDER BY item.turn), patch, asked ->> 'actor', now);
        FOR turn IN 1..cardinality(chosen) LOOP
            verdicts[chosen[turn]] := acted[turn];
        END LOOP;
    END LOOP;
    RETURN json_build_object('verdicts', verdicts);
END
$gristmill_function$;

-- Cancels jobs in the caller's transaction. For running ones the request is stored, and reaches their handlers after the
-- commit; until then they, and what was fetched with them, cannot end.
CREATE FUNCTION gristmill.outbox_cancel(request text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
BEGIN
    RETURN gristmill.outbox_operate('cancel', request);
END
$gristmill_function$;

-- Changes jobs that have not started, in the caller's transaction.
CREATE FUNCTION gristmill.outbox_update(request text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
BEGIN
    RETURN gristmill.outbox_operate('update', request);
END
$gristmill_function$;

-- Shows jobs as the caller's transaction sees them.
CREATE FUNCTION gristmill.outbox_get(request text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
DECLARE
    states CONSTANT text[] := '{suspended,scheduled,available,running,retryable,completed,cancelled,discarded}';
    asked CONSTANT jsonb := request;
    refusal CONSTANT text := gristmill.outbox_refusal(asked);
    ids uuid[];
BEGIN
    IF refusal IS NOT NULL THEN
        RETURN refusal;
    ELSIF jsonb_typeof(asked -> 'ids') IS DISTINCT FROM 'array' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the request has no list of ids';
    END IF;
    ids := ARRAY(SELECT element.id FROM jsonb_array_elements_text(asked -> 'ids') WITH ORDINALITY AS element (id, place)
        ORDER BY element.place);
    RETURN json_build_object('jobs', coalesce((
        SELECT json_agg(CASE WHEN job.id IS NOT NULL THEN json_build_object('id', job.id, 'kind', job.kind,
            'queue', (SELECT queues.name FROM gristmill.queues WHERE queues.queue = job.queue),
            'state', states[job.state + 1], 'priority', job.priority, 'attempt', job.attempt, 'max_attempts', job.max_attempts,
            'run_at_ms', job.run_at, 'created_at_ms', job.created_at, 'finished_at_ms', job.finished_at,
            'args', convert_from(job.args, 'UTF8'), 'options', job.options::json) END ORDER BY wanted.place)
        FROM unnest(ids) WITH ORDINALITY AS wanted (id, place)
            LEFT JOIN gristmill.outbox_locate(ids) AS job ON job.place = wanted.place), '[]'::json));
END
$gristmill_function$;

COMMENT ON FUNCTION gristmill.enqueue(text, jsonb, jsonb) IS
$gristmill_function$Stores a job in this transaction; workers see it once that commits. Of version 2 of the schema.
Gives the id of the job, or of the one that holds its unique key, or has its id: then nothing is stored.
kind selects the handler; args are its input, 1 MiB at most. Options, each as JSON:
queue (default "default"), priority (-10 first to 10 last, default 0), max_attempts (1 to 65535, default 20),
one of delay_ms, run_at (a time with its zone) and suspended (true), timeout_ms (of one attempt),
unique_key (1 to 255 bytes), tags (at most 32 names), metadata (an object), id (a UUID of version 7, for safe repeats),
retention ({"completed_ms", "cancelled_ms", "discarded_ms"}), retry (one of {"exponential": {"base_ms", "factor", "cap_ms"}},
{"linear": {"step_ms", "cap_ms"}}, {"fixed_ms"}, {"table_ms": [..]}; with "jitter": "none", "full" or per cent).
What the rules refuse is error 22023, which names it and the remedy.$gristmill_function$;
COMMENT ON FUNCTION gristmill.outbox_enqueue(text) IS 'For libraries: stores jobs in this transaction, as JSON.';
COMMENT ON FUNCTION gristmill.outbox_cancel(text) IS 'For libraries: cancels jobs in this transaction, as JSON.';
COMMENT ON FUNCTION gristmill.outbox_update(text) IS 'For libraries: changes jobs in this transaction, as JSON.';
COMMENT ON FUNCTION gristmill.outbox_get(text) IS 'For libraries: shows jobs as this transaction sees them, as JSON.';

REVOKE EXECUTE ON FUNCTION
    gristmill.now_ms(bigint),
    gristmill.lease_ends(bigint, bigint, bigint),
    gristmill.first_id(bigint),
    gristmill.made_at(uuid),
    gristmill.partitions(),
    gristmill.make_partition(text, bigint, bigint, bigint),
    gristmill.note_change(),
    gristmill.watch_partition(bigint),
    gristmill.drop_partition(bigint, bigint),
    gristmill.outbox_options_fault(json),
    gristmill.outbox_job_fault(jsonb),
    gristmill.outbox_schema(),
    gristmill.outbox_refusal(jsonb),
    gristmill.outbox_queues(text[]),
    gristmill.outbox_tell(text[]),
    gristmill.outbox_take_keys(integer[], uuid[], integer[], bytea[]),
    gristmill.outbox_store(text),
    gristmill.outbox_enqueue(text),
    gristmill.outbox_refuse(text, text),
    gristmill.outbox_whole(jsonb, text, numeric, numeric),
    gristmill.outbox_name(jsonb, text),
    gristmill.outbox_known(jsonb, text, text[]),
    gristmill.outbox_json(jsonb, text, integer),
    gristmill.outbox_duration(jsonb, text, bigint),
    gristmill.outbox_retry(jsonb),
    gristmill.outbox_options(jsonb),
    gristmill.outbox_new_id(),
    gristmill.enqueue(text, jsonb, jsonb),
    gristmill.outbox_locate(uuid[]),
    gristmill.outbox_erase(uuid[]),
    gristmill.outbox_kept(text),
    gristmill.outbox_act(text, uuid[], jsonb, text, bigint),
    gristmill.outbox_operate(text, text),
    gristmill.outbox_cancel(text),
    gristmill.outbox_update(text),
    gristmill.outbox_get(text)
    FROM PUBLIC;
