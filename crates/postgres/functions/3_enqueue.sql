-- `enqueue`, for people and triggers: the options of a job by their names, checked one by one.

-- Ends a call by the error of a bad value, 22023, which names it and the remedy.
CREATE OR REPLACE FUNCTION gristmill.outbox_refuse(message text, remedy text) RETURNS void
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
BEGIN
    RAISE invalid_parameter_value USING MESSAGE = message, HINT = remedy;
END
$gristmill_function$;

-- A member that is a whole number within bounds; NULL where it is not there.
CREATE OR REPLACE FUNCTION gristmill.outbox_whole(members jsonb, part text, lowest numeric, highest numeric) RETURNS numeric
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
CREATE OR REPLACE FUNCTION gristmill.outbox_name(given jsonb, part text) RETURNS text
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
CREATE OR REPLACE FUNCTION gristmill.outbox_known(members jsonb, part text, known text[]) RETURNS void
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
CREATE OR REPLACE FUNCTION gristmill.outbox_json(given jsonb, part text, most_bytes integer) RETURNS void
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
CREATE OR REPLACE FUNCTION gristmill.outbox_duration(members jsonb, part text, other bigint) RETURNS text
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
CREATE OR REPLACE FUNCTION gristmill.outbox_retry(given jsonb) RETURNS text
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
        jitter := format('{"percent":%s}', gristmill.outbox_whole(given, 'jitter', 0, 100)::integer);
    END IF;
    RETURN format('{"backoff":%s,"jitter":%s}', backoff, jitter);
END
$gristmill_function$;

-- The options of a job as workers read them, from those that `enqueue` was given; NULL for none.
CREATE OR REPLACE FUNCTION gristmill.outbox_options(given jsonb) RETURNS text
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
CREATE OR REPLACE FUNCTION gristmill.outbox_new_id() RETURNS uuid
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

CREATE OR REPLACE FUNCTION gristmill.enqueue(kind text, args jsonb DEFAULT '{}', options jsonb DEFAULT '{}') RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
DECLARE
    given CONSTANT jsonb := coalesce(options, '{}');
    now CONSTANT bigint := floor(date_part('epoch', clock_timestamp()) * 1000);
    last_instant CONSTANT bigint := 253402207200000;
    id uuid;
    queue text;
    urgency integer;
    most integer;
    delay_ms numeric;
    at_ms bigint;
    is_held boolean;
    stored_options text;
    job jsonb;
    answer text;
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
        IF (given ->> 'id' ~* '^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$') IS NOT TRUE THEN
            PERFORM gristmill.outbox_refuse(format('`id` cannot be %s', left((given -> 'id')::text, 64)),
                'Leave `id` out to have one made, or give a UUID of version 7.');
        END IF;
        id := given ->> 'id';
        PERFORM gristmill.outbox_refuse_ahead(id, now);
    END IF;
    PERFORM gristmill.outbox_name(to_jsonb(kind), 'kind');
    queue := coalesce(gristmill.outbox_name(given -> 'queue', 'queue'), 'default');
    urgency := coalesce(gristmill.outbox_whole(given, 'priority', -10, 10), 0);
    most := coalesce(gristmill.outbox_whole(given, 'max_attempts', 1, 65535), 20);
    delay_ms := gristmill.outbox_whole(given, 'delay_ms', 0, 9223372036854775807);
    IF given ? 'run_at' THEN
        BEGIN
            -- With its zone: the session's own is the caller's affair. Rounded up, since no job runs before its time.
            IF (given ->> 'run_at' ~ '^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{5,15}(Z|[-+][0-9]{2}(:?[0-9]{2})?)$') IS NOT TRUE THEN
                RAISE datetime_field_overflow;
            END IF;
            at_ms := greatest((round(extract(epoch FROM (given ->> 'run_at')::timestamptz) * 1000000)::bigint + 999) / 1000, 0);
        EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format OR invalid_time_zone_displacement_value THEN
            PERFORM gristmill.outbox_refuse(format('`run_at` cannot be %s', left((given -> 'run_at')::text, 64)),
                'Give `run_at` a time with its zone such as 2026-11-22T10:00:00Z, or to_jsonb(now() + interval ''1 hour'').');
        END;
    END IF;
    IF given -> 'suspended' NOT IN ('true', 'false') THEN
        PERFORM gristmill.outbox_refuse(format('`suspended` cannot be %s', left((given -> 'suspended')::text, 64)),
            'Give `suspended` true or false.');
    END IF;
    is_held := coalesce(given -> 'suspended' = 'true', false);
    IF (delay_ms IS NOT NULL)::integer + (at_ms IS NOT NULL)::integer + is_held::integer > 1 THEN
        PERFORM gristmill.outbox_refuse('a job has one time', 'Give one of `delay_ms`, `run_at` and `suspended`.');
    END IF;
    IF given ?| '{unique_key,timeout_ms,retry,retention,tags,metadata}' THEN
        stored_options := gristmill.outbox_options(given);
    END IF;
    answer := gristmill.outbox_put(id, kind, queue, urgency, most, args::text, stored_options, given ->> 'unique_key', now,
        least(coalesce(at_ms, now + coalesce(delay_ms, 0)), last_instant)::bigint, is_held);
    IF answer = '{"created":true}' THEN
        RETURN id;
    ELSIF answer IS NOT NULL THEN
        RETURN (answer::jsonb ->> 'existing')::uuid;
    END IF;
    -- A new queue, an id that is not allowed, a key that changes hands.
    job := jsonb_strip_nulls(jsonb_build_object('id', id, 'kind', kind, 'queue', queue, 'priority', urgency,
        'max_attempts', most, 'args', args::text, 'delay_ms', delay_ms, 'at_ms', at_ms, 'suspended', nullif(is_held, false),
        'key', encode(convert_to(given ->> 'unique_key', 'UTF8'), 'hex')));
    answer := gristmill.outbox_enqueue(format('{"protocol":%s,"jobs":[%s]}',
        (SELECT versions.outbox_newest FROM gristmill.versions WHERE versions.one),
        CASE WHEN stored_options IS NULL THEN job::text ELSE left(job::text, -1) || ',"options":' || stored_options || '}' END));
    RETURN coalesce((answer::jsonb #>> '{answers,0,existing}')::uuid, id);
END
$gristmill_function$;
