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
