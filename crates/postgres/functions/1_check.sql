-- The outbox: functions that store, cancel, update and show jobs in the caller's transaction, for any driver and any
-- language. `outbox_*` take and give JSON and are for libraries; `enqueue` is for people and triggers.
--
-- These files are no migration. Each run of `migrate` that applies a migration replaces all their functions afterwards, in the
-- same transaction, so they always fit the schema and check no version of it. A change of them needs a migration with the
-- next number, if only an empty one: by that number an older program knows that it must not replace them. `CREATE OR
-- REPLACE` keeps the rights that were granted to roles; what PUBLIC was granted, `6_rights.sql` revokes. A migration drops a function that goes or whose parameters change.
--
-- They run with the rights of the role that migrated, so a role that only produces needs none on the tables. What they do
-- is what this library does by its own statements (`sql/`), and in the same order of locks. No function of the schema may
-- be called by everybody.
--
-- Whoever is called sets the search path, so that nobody's own functions and operators come before the server's. That
-- costs a third of what a plain insert does, so `outbox_enqueue`, whose speed is its worth, names the schema of each
-- operator and function instead: with anything unqualified in it the caller would run code with the owner's rights.
-- `gristmill_channel` stands for the channel that workers listen on.

-- Whether a JSON text may break a rule of args that a cast does not hold it to; it may err on the side of yes. In each line
-- what costs least comes first: 2 µs for 100 bytes in all. Everything is named with its schema, since `outbox_enqueue` asks
-- it under the caller's search path.
CREATE OR REPLACE FUNCTION gristmill.outbox_is_odd(given pg_catalog.text) RETURNS pg_catalog.bool
    LANGUAGE sql IMMUTABLE
    AS $gristmill_function$
SELECT pg_catalog.strpos(given, E'\\u') OPERATOR(pg_catalog.>) 0
        AND given OPERATOR(pg_catalog.~) E'\\\\u(0000|[dD][89a-fA-F])'
    OR given OPERATOR(pg_catalog.~) '[0-9]([0-9]{18}|[eE][+]?[0-9]{3})'
        AND given OPERATOR(pg_catalog.~) '(^|[][,:[:space:]])-?([0-9]{19}|[0-9.]+[eE][+]?[0-9]{3})'
    OR pg_catalog.octet_length(given) OPERATOR(pg_catalog.-)
        pg_catalog.octet_length(pg_catalog.replace(pg_catalog.replace(given, '[', ''), '{', '')) OPERATOR(pg_catalog.>) 30
$gristmill_function$;

-- Which rule of args a JSON text breaks, or NULL: what another store or reader would change. jsonb takes no NUL and no lone
-- surrogate. Numbers are looked at as they are written, which tells integers from others.
CREATE OR REPLACE FUNCTION gristmill.outbox_json_fault(given text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
DECLARE
    parsed jsonb;
    part text;
BEGIN
    parsed := given;
    IF jsonb_path_exists(parsed, 'strict $.**{30 to last} ? (@.type() == "object" || @.type() == "array")') THEN
        RETURN 'are nested deeper than 30 levels';
    END IF;
    IF given ~ '[0-9]([0-9]{18}|[eE][+]?[0-9]{3})' THEN
        -- Those that are long, or large, outside of strings.
        FOR part IN SELECT number[1] FROM regexp_matches(
            regexp_replace(replace(replace(given, E'\\\\', ''), E'\\"', ''), '"[^"]*"', '""', 'g'),
            '-?[0-9][-+.0-9eE]{18,}|-?[0-9.]+[eE][+]?[0-9]{3,}', 'g') AS number
        LOOP
            IF part ~ '^-?[0-9]+$' AND part::numeric NOT BETWEEN -9223372036854775808 AND 18446744073709551615
                    -- From the middle between the largest number of a double and the next one on it would be infinite.
                    OR part ~ '[.eE]' AND abs(part::numeric) >= 1.797693134862315807e308 THEN
                RETURN 'have a number that does not fit 64 bits';
            END IF;
        END LOOP;
    END IF;
    RETURN NULL;
EXCEPTION
    WHEN untranslatable_character THEN RETURN 'hold NUL';
    WHEN invalid_text_representation THEN RETURN 'hold a lone surrogate';
    WHEN numeric_value_out_of_range THEN RETURN 'have a number that does not fit 64 bits';
END
$gristmill_function$;

-- The first name that an object has twice, or NULL: of two values of one name each reader takes another one.
CREATE OR REPLACE FUNCTION gristmill.outbox_twice(given json) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT
    AS $gristmill_function$
SELECT key FROM json_object_keys(CASE json_typeof(given) WHEN 'object' THEN given ELSE '{}' END) AS key
GROUP BY key HAVING count(*) > 1 ORDER BY key LIMIT 1
$gristmill_function$;

-- What is wrong with the options of a job, or NULL: a worker takes what it cannot read for not set. Durations are
-- `{"secs":1,"nanos":0}`. Members that are not known are let through, as a worker passes over them. This one and the next set no search path, since they are asked once a job: their callers have.
CREATE OR REPLACE FUNCTION gristmill.outbox_options_fault(options json) RETURNS text
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
    part := gristmill.outbox_twice(options);
    IF part IS NOT NULL THEN
        RETURN format('options name `%s` twice', part);
    END IF;
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
        ELSIF part IN ('retention', 'retry') AND member::text ~ '"secs":[0-9]{20}' AND EXISTS (
                SELECT FROM regexp_matches(member::text, '"secs":([0-9]{20})', 'g') AS long (secs)
                WHERE long.secs[1] COLLATE "C" > '18446744073709551615') THEN
            RETURN part || ' has a duration of more than 18446744073709551615 seconds';
        ELSIF part = 'retry' AND (member::text !~ replace(
                '^[{]"backoff":[{]("exponential":[{]"base":D,"factor":[-+.0-9e]+,"cap":D[}]'
                || '|"linear":[{]"step":D,"cap":D[}]|"fixed":D|"table":[[](D(,D)*)?[]])[}],'
                || '"jitter":("none"|"full"|[{]"percent":([0-9]{1,2}|1[0-9]{2}|2[0-4][0-9]|25[0-5])[}])[}]$', 'D', length_of)
                OR cardinality(string_to_array(member::text, '"secs"')) > 1001) THEN
            RETURN 'retry is not written as this library writes it';
        -- Rounded to a double it would be infinite.
        ELSIF part = 'retry' AND abs((member #>> '{backoff,exponential,factor}')::numeric) >= 1.797693134862315807e308 THEN
            RETURN 'the factor of retry does not fit 64 bits';
        ELSIF part = 'metadata' AND (json_typeof(member) <> 'object' OR octet_length(member::text) > 65536) THEN
            RETURN 'metadata is no object of at most 65536 bytes';
        ELSIF part = 'metadata' AND gristmill.outbox_is_odd(member::text)
                AND gristmill.outbox_json_fault(member::text) IS NOT NULL THEN
            RETURN 'values of metadata ' || gristmill.outbox_json_fault(member::text);
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

-- Whether a member is a UUID in the usual form of 36 characters; NULL where it is not there.
CREATE OR REPLACE FUNCTION gristmill.outbox_is_id(given jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $gristmill_function$
SELECT jsonb_typeof(given) = 'string'
    AND given #>> '{}' ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
$gristmill_function$;

-- Whether a member is a whole number within bounds, and written as one; NULL where it is not there. In the order of jsonb
-- nothing but numbers lies between two numbers.
CREATE OR REPLACE FUNCTION gristmill.outbox_is_whole(given jsonb, lowest jsonb, highest jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $gristmill_function$
SELECT given BETWEEN lowest AND highest AND given #>> '{}' ~ '^-?[0-9]+$'
$gristmill_function$;

-- What is wrong with a job of a request, or NULL. What is no JSON at all makes a cast fail.
CREATE OR REPLACE FUNCTION gristmill.outbox_job_fault(job jsonb) RETURNS text
    LANGUAGE sql IMMUTABLE
    AS $gristmill_function$
SELECT CASE
    WHEN jsonb_typeof(job) <> 'object' THEN 'it is no object'
    WHEN NOT job ?& '{id,kind,queue,priority,max_attempts,args}' THEN
        'it lacks one of id, kind, queue, priority, max_attempts, args'
    WHEN job - '{id,kind,queue,priority,max_attempts,args,options,key,delay_ms,at_ms,suspended}'::text[] <> '{}' THEN
        'it has a member that is not known'
    WHEN NOT gristmill.outbox_is_id(job -> 'id') THEN 'id is no UUID'
    WHEN jsonb_typeof(job -> 'kind') <> 'string' OR job ->> 'kind' !~ '^[-A-Za-z0-9._:/]{1,64}$' THEN 'kind is no name'
    WHEN jsonb_typeof(job -> 'queue') <> 'string' OR job ->> 'queue' !~ '^[-A-Za-z0-9._:/]{1,64}$' THEN 'queue is no name'
    WHEN NOT gristmill.outbox_is_whole(job -> 'priority', '-10', '10') THEN 'priority is no number from -10 to 10'
    WHEN NOT gristmill.outbox_is_whole(job -> 'max_attempts', '1', '65535') THEN
        'max_attempts is no number from 1 to 65535'
    WHEN jsonb_typeof(job -> 'args') <> 'string' THEN 'args are not given as text'
    WHEN octet_length(job ->> 'args') > 1048576 THEN 'args are larger than 1 MiB'
    WHEN (job ->> 'args')::json IS NULL THEN 'args are no JSON'
    WHEN gristmill.outbox_is_odd(job ->> 'args') AND gristmill.outbox_json_fault(job ->> 'args') IS NOT NULL THEN
        'args ' || gristmill.outbox_json_fault(job ->> 'args')
    WHEN (job ? 'delay_ms')::integer + (job ? 'at_ms')::integer + (job ? 'suspended')::integer > 1 THEN
        'it has more than one of delay_ms, at_ms, suspended'
    WHEN NOT gristmill.outbox_is_whole(job -> 'delay_ms', '0', '18446744073709551615') THEN
        'delay_ms is no number of milliseconds'
    WHEN NOT gristmill.outbox_is_whole(job -> 'at_ms', '0', '9223372036854775807') THEN
        'at_ms is no instant in milliseconds'
    WHEN job ? 'suspended' AND job -> 'suspended' <> 'true' THEN 'suspended is not true'
    WHEN encode(convert_to(job -> 'options' ->> 'unique_key', 'UTF8'), 'hex') IS DISTINCT FROM lower(job ->> 'key') THEN
        'key is not the hexadecimal form of the options'' unique_key'
END
$gristmill_function$;

-- The answer to a request of a protocol that the schema does not accept; NULL for one that it does.
CREATE OR REPLACE FUNCTION gristmill.outbox_refusal(asked jsonb) RETURNS text
    LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
DECLARE
    -- As JSON, so that a text has quotes.
    protocol CONSTANT text := asked -> 'protocol';
    accepted gristmill.versions;
BEGIN
    IF jsonb_typeof(asked) <> 'object' OR jsonb_typeof(asked -> 'protocol') IS DISTINCT FROM 'number' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the request names no protocol';
    END IF;
    SELECT * INTO accepted FROM gristmill.versions WHERE versions.one;
    IF (CASE WHEN protocol ~ '^[0-9]{1,9}$' THEN
            protocol::integer BETWEEN accepted.outbox_oldest AND accepted.outbox_newest END) THEN
        RETURN NULL;
    END IF;
    RETURN format('{"error":{"why":"protocol","oldest":%s,"newest":%s}}', accepted.outbox_oldest, accepted.outbox_newest);
END
$gristmill_function$;
