-- `enqueue`, for people and triggers: the options of a job by their names, checked one by one.

-- Ends a call by the error of a bad value, 22023, which names it and the remedy.
CREATE OR REPLACE FUNCTION gristmill.outbox_refuse(message text, remedy text) RETURNS void
    LANGUAGE plpgsql
    AS $gristmill_function$
BEGIN
    RAISE invalid_parameter_value USING MESSAGE = message, HINT = remedy;
END
$gristmill_function$;

-- Refuses members of an object that are not known, or not as its rules say. A rule without a path is that of
-- milliseconds.
CREATE OR REPLACE FUNCTION gristmill.outbox_check(members jsonb, owner text) RETURNS void
    LANGUAGE plpgsql
    AS $gristmill_function$
DECLARE
    known CONSTANT text[] := CASE owner
        WHEN 'options' THEN
            '{queue,priority,max_attempts,delay_ms,run_at,suspended,timeout_ms,retry,retention,unique_key,tags,metadata,id}'
        WHEN 'retention' THEN '{completed_ms,cancelled_ms,discarded_ms}'
        WHEN 'retry' THEN '{exponential,linear,fixed_ms,table_ms,jitter}'
        WHEN 'exponential' THEN '{base_ms,factor,cap_ms}' ELSE '{step_ms,cap_ms}' END;
    wrong record;
BEGIN
    IF jsonb_typeof(members) <> 'object' OR members - known <> '{}' THEN
        PERFORM gristmill.outbox_refuse(CASE WHEN jsonb_typeof(members) <> 'object' THEN format('`%s` is no object', owner) ELSE
            format('`%s` has no member `%s`', owner, (SELECT left(min(name), 64) FROM jsonb_object_keys(members - known) AS name)) END,
            format('The members of `%s` are: %s.', owner, array_to_string(known, ', ')));
    END IF;
    SELECT rule.part, rule.remedy INTO wrong FROM (VALUES
        ('queue', 'strict $ ? (@ != "" && !(@ like_regex "[^-A-Za-z0-9._:/]" flag "s") && !(@ like_regex ".{65}" flag "s"))'::jsonpath,
            'a name: 1 to 64 of the characters A-Z a-z 0-9 . _ : / -'),
        ('priority', 'strict $ ? (@.floor() == @ && @ >= -10 && @ <= 10)', 'a whole number from -10 to 10'),
        ('max_attempts', 'strict $ ? (@.floor() == @ && @ >= 1 && @ <= 65535)', 'a whole number from 1 to 65535'),
        -- With its zone: the session's own is the caller's affair.
        ('run_at', 'strict $ ? (@ like_regex "^[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9:.]{5,15}(Z|[-+][0-9]{2}(:?[0-9]{2})?)$")',
            'a time with its zone such as 2026-11-22T10:00:00Z, or to_jsonb(now() + interval ''1 hour'')'),
        ('suspended', 'strict $ ? (@.type() == "boolean")', 'true or false'),
        ('timeout_ms', 'strict $ ? (@.floor() == @ && @ >= 1 && @ <= 9223372036854775807)', 'a whole number from 1 to 9223372036854775807'),
        ('unique_key', 'strict $ ? (@.type() == "string" && @ != "")', 'a text of 1 to 255 bytes, or leave it out'),
        ('tags', 'strict $ ? (@.type() == "array" && @.size() <= 32 && !exists(@[*] ? (
            @.type() != "string" || @ == "" || @ like_regex "[^-A-Za-z0-9._:/]" flag "s" || @ like_regex ".{65}" flag "s")))',
            'a list of at most 32 names of the characters A-Z a-z 0-9 . _ : / -, such as ["mail", "eu"]'),
        ('metadata', 'strict $ ? (@.type() == "object")', 'an object such as {"tenant": "acme"}'),
        -- Where an id lies in time decides in which partition its job is kept, and for how long.
        ('id', 'strict $ ? (@ like_regex "^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$" flag "i")',
            'a UUID of version 7, or leave it out to have one made'),
        ('retry', 'strict $ ? (@.type() == "object")', 'one of exponential, linear, fixed_ms, table_ms'),
        ('retention', 'strict $ ? (@.type() == "object")', 'an object with completed_ms, cancelled_ms, discarded_ms'),
        ('exponential', 'strict $ ? (@.type() == "object")', '{"base_ms", "factor", "cap_ms"}'),
        ('linear', 'strict $ ? (@.type() == "object")', '{"step_ms", "cap_ms"}'),
        ('table_ms', 'strict $ ? (@.type() == "array" && @.size() <= 1000 && !exists(@[*] ? (
            @.type() != "number" || !(@.floor() == @ && @ >= 0 && @ <= 9223372036854775807))))', 'a list of at most 1000 whole numbers, one an attempt'),
        ('jitter', 'strict $ ? (@ == "none" || @ == "full" || @.floor() == @ && @ >= 0 && @ <= 100)',
            '"none", "full" or a whole number from 0 to 100'),
        ('factor', 'strict $ ? (@ >= 0 && @ <= 1000000)', 'a number from 0 to 1000000, such as 2'),
        ('delay_ms', NULL, NULL), ('completed_ms', NULL, NULL), ('cancelled_ms', NULL, NULL), ('discarded_ms', NULL, NULL),
        ('fixed_ms', NULL, NULL), ('base_ms', NULL, NULL), ('step_ms', NULL, NULL), ('cap_ms', NULL, NULL)
    ) AS rule (part, path, remedy)
    -- All parts of the two ways to wait are needed.
    WHERE (members ? rule.part OR owner IN ('exponential', 'linear') AND rule.part = ANY (known))
        AND (members -> rule.part
            @? coalesce(rule.path, 'strict $ ? (@.floor() == @ && @ >= 0 && @ <= 9223372036854775807)')) IS NOT TRUE LIMIT 1;
    IF FOUND THEN
        PERFORM gristmill.outbox_refuse(
            format('`%s` cannot be %s', wrong.part, coalesce(left((members -> wrong.part)::text, 64), 'missing')),
            format('Give `%s` %s.', wrong.part, coalesce(wrong.remedy, 'a whole number from 0 to 9223372036854775807')));
    END IF;
END
$gristmill_function$;

-- Refuses JSON that some store or reader would change: nested deeper than 30 levels, or with numbers that fit
-- no 64 bits.
CREATE OR REPLACE FUNCTION gristmill.outbox_json(given jsonb, part text, most_bytes integer) RETURNS void
    LANGUAGE plpgsql
    AS $gristmill_function$
DECLARE
    bytes CONSTANT integer := octet_length(convert_to(given::text, 'UTF8'));
BEGIN
    IF bytes > most_bytes THEN
        PERFORM gristmill.outbox_refuse(format('`%s` has %s bytes', part, bytes),
            format('Keep `%s` within %s bytes: store large inputs elsewhere and pass a reference.', part, most_bytes));
    ELSIF bytes > 60 AND given @? 'strict $.**{30 to last} ? (@.type() == "object" || @.type() == "array")' THEN
        PERFORM gristmill.outbox_refuse(format('`%s` is nested deeper than 30 levels', part),
            format('Make `%s` flatter, or pass an inner part of it as text.', part));
    ELSIF given::text ~ '[0-9]{19}' AND given @? 'strict $.** ? (@.type() == "number") ? (@.abs() > 1.7976931348623157e308
            || ((@ > 18446744073709551615 || @ < -9223372036854775808) && @.floor() == @))' THEN
        PERFORM gristmill.outbox_refuse(format('`%s` has a number that does not fit 64 bits', part), 'Pass it as text.');
    END IF;
END
$gristmill_function$;

-- Durations as workers read them, from milliseconds: of a number, of each in a list, and of the members of an
-- object apart from `factor`, whose names lose `_ms`.
CREATE OR REPLACE FUNCTION gristmill.outbox_duration(ms jsonb) RETURNS text
    LANGUAGE plpgsql STRICT
    AS $gristmill_function$
BEGIN
    IF jsonb_typeof(ms) = 'number' THEN
        RETURN format('{"secs":%s,"nanos":%s}', ms::bigint / 1000, ms::bigint % 1000 * 1000000);
    ELSIF jsonb_typeof(ms) = 'array' THEN
        RETURN format('[%s]', (SELECT string_agg(gristmill.outbox_duration(wait), ',' ORDER BY place)
            FROM jsonb_array_elements(ms) WITH ORDINALITY AS item (wait, place)));
    END IF;
    RETURN format('{%s}', (SELECT string_agg(format('"%s":%s', replace(name, '_ms', ''),
            CASE WHEN name = 'factor' THEN part::text ELSE gristmill.outbox_duration(part) END), ',')
        FROM jsonb_each(ms) AS member (name, part)));
END
$gristmill_function$;

-- When a failed attempt is tried again, from a form for people to the one workers read.
CREATE OR REPLACE FUNCTION gristmill.outbox_retry(given jsonb) RETURNS text
    LANGUAGE plpgsql
    AS $gristmill_function$
DECLARE
    kind CONSTANT text := (SELECT min(name) FROM jsonb_object_keys(given - 'jitter') AS name HAVING count(*) = 1);
    jitter CONSTANT jsonb := given -> 'jitter';
BEGIN
    PERFORM gristmill.outbox_check(given, 'retry');
    IF kind IS NULL THEN
        PERFORM gristmill.outbox_refuse('`retry` does not say one way to wait', 'Give `retry` one of exponential, linear, fixed_ms, table_ms.');
    ELSIF kind IN ('exponential', 'linear') THEN
        PERFORM gristmill.outbox_check(given -> kind, kind);
    END IF;
    RETURN format('{"backoff":%s,"jitter":%s}', gristmill.outbox_duration(given - 'jitter'), CASE jsonb_typeof(jitter)
        WHEN 'string' THEN jitter::text WHEN 'number' THEN format('{"percent":%s}', jitter::integer) ELSE '{"percent":10}' END);
END
$gristmill_function$;

-- The options of a job as workers read them, from those that `enqueue` was given and has checked; NULL for
-- none.
CREATE OR REPLACE FUNCTION gristmill.outbox_options(given jsonb) RETURNS text
    LANGUAGE plpgsql
    AS $gristmill_function$
BEGIN
    PERFORM gristmill.outbox_json(given -> 'metadata', 'metadata', 65536) WHERE given ? 'metadata';
    PERFORM gristmill.outbox_check(given -> 'retention', 'retention') WHERE given ? 'retention';
    IF octet_length(convert_to(given ->> 'unique_key', 'UTF8')) > 255 THEN
        PERFORM gristmill.outbox_refuse('`unique_key` is too long', 'Give `unique_key` a text of 1 to 255 bytes, or leave it out.');
    END IF;
    RETURN '{' || nullif(concat_ws(',',
        '"unique_key":' || (given -> 'unique_key')::text,
        '"timeout_ms":' || (given -> 'timeout_ms')::bigint,
        '"retry":' || CASE WHEN given ? 'retry' THEN gristmill.outbox_retry(given -> 'retry') END,
        '"retention":' || gristmill.outbox_duration('{"completed_ms":86400000,"cancelled_ms":604800000,"discarded_ms":2592000000}'
            || (given -> 'retention')),
        '"tags":' || nullif(replace((given -> 'tags')::text, ', ', ','), '[]'),
        '"metadata":' || nullif((given -> 'metadata')::text, '{}')), '') || '}';
END
$gristmill_function$;

-- A new id: a UUID of version 7, microseconds behind the milliseconds, so that ids of one session grow.
CREATE OR REPLACE FUNCTION gristmill.outbox_new_id() RETURNS uuid
    LANGUAGE plpgsql VOLATILE
    AS $gristmill_function$
DECLARE
    micros CONSTANT bigint := (date_part('epoch', clock_timestamp()) * 1000000)::bigint;
BEGIN
    RETURN (lpad(to_hex(micros / 1000), 12, '0') || '7' || lpad(to_hex(micros % 1000), 3, '0')
        || right(gen_random_uuid()::text, 17))::uuid;
END
$gristmill_function$;

CREATE OR REPLACE FUNCTION gristmill.enqueue(kind text, args jsonb DEFAULT '{}', options jsonb DEFAULT '{}') RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
DECLARE
    given CONSTANT jsonb := coalesce(options, '{}');
    now CONSTANT bigint := floor(date_part('epoch', clock_timestamp()) * 1000);
    is_held CONSTANT boolean := given -> 'suspended' IS NOT DISTINCT FROM 'true';
    id uuid;
    due bigint := now;
    line integer;
    urgency integer;
    answer text;
BEGIN
    IF kind IS NULL OR args IS NULL THEN
        PERFORM gristmill.outbox_refuse(format('`%s` is NULL', CASE WHEN kind IS NULL THEN 'kind' ELSE 'args' END),
            'Give the name of a kind, and args such as ''{}''.');
    ELSIF kind = '' OR kind ~ '[^-A-Za-z0-9._:/]' OR length(kind) > 64 THEN
        PERFORM gristmill.outbox_refuse(format('`kind` cannot be "%s"', left(kind, 80)),
            'Give `kind` a name: 1 to 64 of the characters A-Z a-z 0-9 . _ : / -.');
    ELSIF given <> '{}' THEN
        PERFORM gristmill.outbox_check(given, 'options');
    END IF;
    PERFORM gristmill.outbox_json(args, 'args', 1048576);
    id := coalesce((given ->> 'id')::uuid, gristmill.outbox_new_id());
    IF (given ? 'delay_ms')::integer + (given ? 'run_at')::integer + is_held::integer > 1 THEN
        PERFORM gristmill.outbox_refuse('a job has one time', 'Give one of `delay_ms`, `run_at` and `suspended`.');
    ELSIF given ? 'delay_ms' THEN
        due := least(now + (given ->> 'delay_ms')::numeric, 253402207200000);
    ELSIF given ? 'run_at' THEN
        BEGIN
            -- Rounded up, since no job runs before its time.
            due := (round(extract(epoch FROM (given ->> 'run_at')::timestamptz) * 1000000)::bigint + 999) / 1000;
            due := least(greatest(due, 0), 253402207200000);
        EXCEPTION WHEN datetime_field_overflow OR invalid_datetime_format OR invalid_time_zone_displacement_value THEN
            PERFORM gristmill.outbox_refuse(format('`run_at` cannot be %s', left((given -> 'run_at')::text, 64)),
                'Give `run_at` a time with its zone such as 2026-11-22T10:00:00Z, or to_jsonb(now() + interval ''1 hour'').');
        END;
    END IF;
    line := gristmill.outbox_queue(coalesce(given ->> 'queue', 'default'));
    urgency := coalesce((given -> 'priority')::integer, 0);
    answer := gristmill.outbox_put(id, kind, line, urgency, coalesce((given -> 'max_attempts')::integer, 20), args::text,
        CASE WHEN given ?| '{unique_key,timeout_ms,retry,retention,tags,metadata}' THEN gristmill.outbox_options(given) END,
        given ->> 'unique_key', now, due, is_held);
    IF answer <> '{"created":true}' THEN
        RETURN answer::jsonb ->> 'existing';
    ELSIF NOT is_held THEN
        PERFORM gristmill.outbox_tell(id, line, urgency, due, now);
    END IF;
    RETURN id;
END
$gristmill_function$;
