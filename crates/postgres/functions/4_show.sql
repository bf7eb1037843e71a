-- `outbox_get` and `outbox_list`.

-- Jobs as a transaction sees them, of one moment, those that are there; as `sql/locate.sql` finds them. Where
-- a job is not in a place it runs, or it completed: its latest ended run says which. Running jobs have their
-- attempts in their claims.
CREATE OR REPLACE FUNCTION gristmill.outbox_show(ids uuid[]) RETURNS TABLE (place bigint, job json)
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
    AS $gristmill_function$
#variable_conflict use_column
DECLARE
    states CONSTANT text[] := '{suspended,scheduled,available,running,retryable,completed,cancelled,discarded}';
BEGIN
    RETURN QUERY
    WITH wanted AS MATERIALIZED (SELECT item.id, item.place FROM unnest(ids) WITH ORDINALITY AS item (id, place)),
    found AS MATERIALIZED (
        SELECT wanted.place, jobs.*, coalesce(latest.run, 0) AS latest_run, CASE
                WHEN ready.id IS NOT NULL THEN 2
                WHEN waiting.id IS NOT NULL THEN waiting.state
                WHEN ended.id IS NOT NULL THEN ended.state
                WHEN latest.state = 5 AND latest.run > coalesce(retried.run, 0) THEN 5
                ELSE 3
            END AS state,
            coalesce(ready.attempt, waiting.attempt, ended.attempt, latest.attempt, 0) AS attempt,
            coalesce(ready.run_at, waiting.run_at, ended.run_at, latest.run_at, jobs.created_at) AS run_at,
            coalesce(ended.finished_at, latest.finished_at) AS finished_at
        FROM wanted
            CROSS JOIN LATERAL (SELECT * FROM gristmill.jobs WHERE jobs.id = wanted.id LIMIT 1) AS jobs
            LEFT JOIN LATERAL (SELECT * FROM gristmill.ready WHERE ready.id = wanted.id LIMIT 1) AS ready ON true
            LEFT JOIN LATERAL (SELECT * FROM gristmill.waiting WHERE waiting.id = wanted.id LIMIT 1) AS waiting ON true
            LEFT JOIN LATERAL (SELECT * FROM gristmill.ended WHERE ended.id = wanted.id LIMIT 1) AS ended ON true
            LEFT JOIN LATERAL (SELECT * FROM gristmill.retried WHERE retried.id = wanted.id LIMIT 1) AS retried ON true
            LEFT JOIN LATERAL (SELECT * FROM gristmill.attempts WHERE attempts.id = wanted.id
                ORDER BY attempts.run DESC LIMIT 1) AS latest ON true
    ),
    member AS MATERIALIZED (
        SELECT listed.* FROM gristmill.claims CROSS JOIN LATERAL
            unnest(claims.ids, claims.runs, claims.attempts, claims.run_ats) AS listed (id, run, attempt, run_at)
        WHERE EXISTS (SELECT FROM found WHERE found.state = 3)
            AND (listed.id IN (SELECT found.id FROM found WHERE found.state = 3)) IS TRUE
    )
    SELECT found.place, json_build_object('id', found.id, 'kind', found.kind,
        'queue', coalesce((SELECT queues.name FROM gristmill.queues WHERE queues.queue = found.queue),
            (SELECT new_queues.name FROM gristmill.new_queues WHERE new_queues.queue = found.queue LIMIT 1)),
        'state', states[found.state + 1], 'priority', found.priority, 'attempt', coalesce(member.attempt, found.attempt),
        'max_attempts', found.max_attempts, 'run_at_ms', coalesce(member.run_at, found.run_at),
        'created_at_ms', found.created_at, 'finished_at_ms', CASE WHEN found.state >= 5 THEN found.finished_at END,
        'args', convert_from(found.args, 'UTF8'), 'options', found.options::json)
    FROM found LEFT JOIN member ON member.id = found.id AND member.run > found.latest_run AND found.state = 3;
END
$gristmill_function$;

-- Shows jobs by their ids, in their order; null for one that is not there.
CREATE OR REPLACE FUNCTION gristmill.outbox_get(request text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
DECLARE
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
    RETURN json_build_object('jobs', coalesce((SELECT json_agg(shown.job ORDER BY wanted.place)
        FROM generate_subscripts(ids, 1) AS wanted (place) LEFT JOIN gristmill.outbox_show(ids) AS shown USING (place)), '[]'));
END
$gristmill_function$;

-- Shows the newest jobs of a queue, a kind and a state, each optional; at most `limit` of the newest 10,000
-- jobs. `more` says that there may be others.
CREATE OR REPLACE FUNCTION gristmill.outbox_list(request text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET plan_cache_mode = force_generic_plan SET jit = off
    AS $gristmill_function$
DECLARE
    asked CONSTANT jsonb := request;
    refusal CONSTANT text := gristmill.outbox_refusal(asked);
    most CONSTANT integer := asked ->> 'limit';
    wanted CONSTANT integer := CASE WHEN asked ->> 'queue' IS NOT NULL THEN coalesce(
        (SELECT queues.queue FROM gristmill.queues WHERE queues.name = asked ->> 'queue'),
        (SELECT new_queues.queue FROM gristmill.new_queues WHERE new_queues.name = asked ->> 'queue' LIMIT 1), 0) END;
    jobs json[] := '{}';
    behind uuid := 'ffffffff-ffff-ffff-ffff-ffffffffffff';
    ids uuid[];
    looked integer;
BEGIN
    IF refusal IS NOT NULL THEN
        RETURN refusal;
    ELSIF (most BETWEEN 1 AND 100) IS NOT TRUE THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the limit is no number from 1 to 100';
    END IF;
    -- In steps, since the state of a job is looked up in several tables.
    FOR step IN 1..40 LOOP
        SELECT count(*), min(id::text)::uuid, array_agg(id ORDER BY id DESC) FILTER (WHERE fits) INTO looked, behind, ids FROM (
            SELECT id, (wanted IS NULL OR queue = wanted) AND (asked ->> 'kind' IS NULL OR kind = asked ->> 'kind') AS fits
            FROM gristmill.jobs WHERE id < behind ORDER BY id DESC LIMIT 250) AS looked;
        jobs := jobs || ARRAY(SELECT shown.job FROM gristmill.outbox_show(ids) AS shown
            WHERE asked ->> 'state' IS NULL OR shown.job ->> 'state' = asked ->> 'state' ORDER BY shown.place);
        EXIT WHEN looked < 250 OR cardinality(jobs) > most;
    END LOOP;
    RETURN json_build_object('jobs', to_json(jobs[:most]), 'more', cardinality(jobs) > most);
END
$gristmill_function$;
