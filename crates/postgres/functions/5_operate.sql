-- `outbox_cancel`, `outbox_update` and `outbox_get`.

-- Cancels or updates the jobs of a request.
CREATE OR REPLACE FUNCTION gristmill.outbox_operate(verb text, request text) RETURNS text
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
    IF verb = 'update' AND NOT asked ? 'patch' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the request has no patch';
    END IF;
    PERFORM gristmill.outbox_known(patch, 'patch', '{priority,max_attempts,args,delay_ms,at_ms,now}');
    PERFORM gristmill.outbox_whole(patch, 'priority', -10, 10), gristmill.outbox_whole(patch, 'max_attempts', 1, 65535),
        gristmill.outbox_whole(patch, 'delay_ms', 0, 18446744073709551615),
        gristmill.outbox_whole(patch, 'at_ms', 0, 9223372036854775807);
    -- The cast fails where the text is no JSON.
    IF patch ? 'args' AND (jsonb_typeof(patch -> 'args') <> 'string' OR octet_length(patch ->> 'args') > 1048576
            OR (patch ->> 'args')::json IS NULL) THEN
        RAISE invalid_parameter_value USING MESSAGE = 'args are no JSON in a text of at most 1 MiB';
    ELSIF gristmill.outbox_is_odd(patch ->> 'args') AND gristmill.outbox_json_fault(patch ->> 'args') IS NOT NULL THEN
        RAISE invalid_parameter_value USING MESSAGE = 'args ' || gristmill.outbox_json_fault(patch ->> 'args');
    ELSIF gristmill.outbox_twice(request::json -> 'patch') IS NOT NULL THEN
        RAISE invalid_parameter_value
            USING MESSAGE = format('the patch names `%s` twice', gristmill.outbox_twice(request::json -> 'patch'));
    ELSIF patch -> 'now' <> 'true' THEN
        RAISE invalid_parameter_value USING MESSAGE = '`now` of the patch is not true';
    ELSIF (patch ? 'delay_ms')::integer + (patch ? 'at_ms')::integer + (patch ? 'now')::integer > 1 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the patch has more than one of delay_ms, at_ms, now';
    ELSIF jsonb_typeof(asked -> 'ids') IS DISTINCT FROM 'array' THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the request has no list of ids';
    ELSIF EXISTS (
            SELECT FROM jsonb_array_elements(asked -> 'ids') AS element (id) WHERE NOT gristmill.outbox_is_id(element.id)) THEN
        RAISE invalid_parameter_value USING MESSAGE = 'one of the ids is no UUID';
    ELSIF jsonb_typeof(asked -> 'actor') NOT IN ('string', 'null') THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the actor is no text';
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
CREATE OR REPLACE FUNCTION gristmill.outbox_cancel(request text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
BEGIN
    RETURN gristmill.outbox_operate('cancel', request);
END
$gristmill_function$;

-- Changes jobs that have not started, in the caller's transaction.
CREATE OR REPLACE FUNCTION gristmill.outbox_update(request text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
BEGIN
    RETURN gristmill.outbox_operate('update', request);
END
$gristmill_function$;

-- Shows jobs as the caller's transaction sees them.
CREATE OR REPLACE FUNCTION gristmill.outbox_get(request text) RETURNS text
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
            'queue', coalesce((SELECT queues.name FROM gristmill.queues WHERE queues.queue = job.queue),
                (SELECT new_queues.name FROM gristmill.new_queues WHERE new_queues.queue = job.queue LIMIT 1)),
            'state', states[job.state + 1], 'priority', job.priority, 'attempt', job.attempt, 'max_attempts', job.max_attempts,
            'run_at_ms', job.run_at, 'created_at_ms', job.created_at, 'finished_at_ms', job.finished_at,
            'args', convert_from(job.args, 'UTF8'), 'options', job.options::json) END ORDER BY wanted.place)
        FROM unnest(ids) WITH ORDINALITY AS wanted (id, place)
            LEFT JOIN gristmill.outbox_locate(ids) AS job ON job.place = wanted.place), '[]'::json));
END
$gristmill_function$;
