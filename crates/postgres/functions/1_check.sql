-- The outbox: functions that store, request and show in the caller's transaction, for any driver and any
-- language. `outbox_*` take and return JSON and are for libraries; `enqueue` is for people and triggers.
--
-- These files are no migration: `migrate` replaces all their functions after the migrations that it applies,
-- so they fit the schema. A change of them needs a migration with the next number, if only an empty one, so
-- that an older program does not replace them. `CREATE OR REPLACE` keeps the rights of roles. A migration
-- drops what goes or gets other parameters.
--
-- They run with the rights of the role that migrated, so a role that only produces needs none on the tables.
-- A function that is called from outside sets the search path, so that no functions and operators of the
-- caller's come before the server's, also in the functions that it calls. That costs a third of a plain
-- insert, so `outbox_enqueue` and `outbox_is_odd` name the schema of each operator and function instead:
-- anything unqualified in them would let the caller run code with the owner's rights.
--
-- Libraries send jobs that core has checked. Here is checked what costs little: a request that lies stores at
-- most a job, or a request, that is set aside alone. `gristmill_channel` stands for the channel that workers
-- listen on.

-- Whether a JSON text may break a rule of args that a cast to `json` does not hold it to; it may err on the
-- side of yes. The numbers and escapes share a pattern, since each one that is matched costs 3 µs.
CREATE OR REPLACE FUNCTION gristmill.outbox_is_odd(given pg_catalog.text) RETURNS pg_catalog.bool
    LANGUAGE sql IMMUTABLE
    AS $gristmill_function$
SELECT given OPERATOR(pg_catalog.~) E'[0-9][eE][+]?[0-9]{3}|\\\\u(0000|[dD][89a-fA-F])'
    OR pg_catalog.octet_length(given) OPERATOR(pg_catalog.>) 300 AND given OPERATOR(pg_catalog.~) '[0-9]{250}'
    OR pg_catalog.octet_length(given) OPERATOR(pg_catalog.-)
        pg_catalog.octet_length(pg_catalog.replace(pg_catalog.replace(given, '[', ''), '{', '')) OPERATOR(pg_catalog.>) 30
$gristmill_function$;

-- Whether a member is a UUID in the usual form of 36 characters; NULL where it is not there.
CREATE OR REPLACE FUNCTION gristmill.outbox_is_id(given jsonb) RETURNS boolean
    LANGUAGE sql IMMUTABLE
    AS $gristmill_function$
SELECT jsonb_typeof(given) = 'string'
    AND given #>> '{}' ~* '^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$'
$gristmill_function$;

-- What is wrong with a job of a request, or NULL. What is no JSON or no whole number makes a cast fail. Of
-- options it looks at the types of known members: workers read each member by itself and pass over unknown
-- ones.
CREATE OR REPLACE FUNCTION gristmill.outbox_job_fault(job jsonb) RETURNS text
    LANGUAGE plpgsql IMMUTABLE
    AS $gristmill_function$
BEGIN
    RETURN CASE
    WHEN jsonb_typeof(job) <> 'object' OR NOT job ?& '{id,kind,queue,priority,max_attempts,args}' THEN
        'it is no object with id, kind, queue, priority, max_attempts, args'
    WHEN job - '{id,kind,queue,priority,max_attempts,args,options,key,delay_ms,at_ms,suspended}'::text[] <> '{}' THEN
        'it has a member that is not known'
    WHEN NOT gristmill.outbox_is_id(job -> 'id') THEN 'id is no UUID'
    -- Lengths apart: {1,64} costs ten times as much, and 2 ms when a connection compiles it.
    WHEN jsonb_typeof(job -> 'kind') <> 'string' OR job ->> 'kind' = '' OR job ->> 'kind' ~ '[^-A-Za-z0-9._:/]'
        OR length(job ->> 'kind') > 64 OR jsonb_typeof(job -> 'queue') <> 'string' OR job ->> 'queue' = ''
        OR job ->> 'queue' ~ '[^-A-Za-z0-9._:/]' OR length(job ->> 'queue') > 64 THEN 'kind or queue is no name'
    WHEN NOT job @? '$ ? (@.priority >= -10 && @.priority <= 10 && @.max_attempts >= 1 && @.max_attempts <= 65535)'
        OR (job ->> 'priority')::smallint IS NULL OR (job ->> 'max_attempts')::integer IS NULL THEN
        'priority is not from -10 to 10, or max_attempts not from 1 to 65535'
    WHEN jsonb_typeof(job -> 'args') <> 'string' OR octet_length(job ->> 'args') > 1048576
        OR (job ->> 'args')::json IS NULL THEN 'args are no JSON in a text of at most 1 MiB'
    -- The cast fails at NUL, lone surrogates and numbers beyond all types.
    WHEN gristmill.outbox_is_odd(job ->> 'args') AND (
        (job ->> 'args')::jsonb @? 'strict $.**{30 to last} ? (@.type() == "object" || @.type() == "array")'
        OR (job ->> 'args')::jsonb @? 'strict $.** ? (@.type() == "number" && @.abs() >= 1.797693134862315807e308)') THEN
        'args are nested deeper than 30 levels, or have a number that does not fit 64 bits'
    WHEN (job ? 'delay_ms')::integer + (job ? 'at_ms')::integer + (job ? 'suspended')::integer > 1 OR job @? '$ ? (
        exists(@.delay_ms) && !(@.delay_ms >= 0 && @.delay_ms <= 18446744073709551615 && @.delay_ms.floor() == @.delay_ms)
        || exists(@.at_ms) && !(@.at_ms >= 0 && @.at_ms <= 9223372036854775807 && @.at_ms.floor() == @.at_ms)
        || exists(@.suspended) && !(@.suspended == true))' OR jsonb_typeof(job -> 'delay_ms') <> 'number'
        OR jsonb_typeof(job -> 'at_ms') <> 'number' OR jsonb_typeof(job -> 'suspended') <> 'boolean' THEN
        'it has more than one time of delay_ms, at_ms, suspended, or one that is none'
    WHEN jsonb_typeof(job -> 'options') <> 'object' OR job -> 'options' @? '$ ? (exists(@.unique_key) && @.unique_key.type() != "string"
        || exists(@.timeout_ms ? (@.type() != "number" || @ < 1 || @ > 18446744073709551615 || @.floor() != @))
        || exists(@.tags) && (@.tags.type() != "array" || @.tags.size() > 32)
        || exists(@.tags[*] ? (@.type() != "string" || @ == "" || @ like_regex "[^-A-Za-z0-9._:/]" flag "s" || @ like_regex ".{65}" flag "s"))
        || exists(@.metadata) && @.metadata.type() != "object" || exists(@.retry) && @.retry.type() != "object"
        || exists(@.retention) && @.retention.type() != "object"
        || exists(@.metadata.**{30 to last} ? (@.type() == "object" || @.type() == "array"))
        || exists(@.metadata.** ? (@.type() == "number" && @.abs() >= 1.797693134862315807e308))
        || exists(@.retry.** ? (@.type() == "number" && @.abs() >= 1.797693134862315807e308)))' THEN
        'one of its options is of another type'
    WHEN octet_length((job -> 'options')::text) > 262144 THEN 'its options have more than 262144 bytes'
    WHEN encode(convert_to(job -> 'options' ->> 'unique_key', 'UTF8'), 'hex') IS DISTINCT FROM lower(job ->> 'key')
        OR length(job ->> 'key') NOT BETWEEN 2 AND 510 THEN
        'key is not the hexadecimal form of the options'' unique_key of 1 to 255 bytes'
    END;
END
$gristmill_function$;

-- The answer to a request of a protocol that the schema does not accept; NULL for one that it does.
CREATE OR REPLACE FUNCTION gristmill.outbox_refusal(asked jsonb) RETURNS text
    LANGUAGE plpgsql STABLE
    AS $gristmill_function$
DECLARE
    accepted gristmill.versions;
BEGIN
    IF jsonb_typeof(asked) <> 'object' OR jsonb_typeof(asked -> 'protocol') IS DISTINCT FROM 'number' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the request names no protocol';
    END IF;
    SELECT * INTO accepted FROM gristmill.versions WHERE versions.one;
    IF (asked -> 'protocol') BETWEEN to_jsonb(accepted.outbox_oldest) AND to_jsonb(accepted.outbox_newest)
            AND (asked ->> 'protocol')::numeric % 1 = 0 THEN
        RETURN NULL;
    END IF;
    RETURN format('{"error":{"why":"protocol","oldest":%s,"newest":%s}}', accepted.outbox_oldest, accepted.outbox_newest);
END
$gristmill_function$;
