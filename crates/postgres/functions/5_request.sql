-- `outbox_request`.

-- Stores requests to cancel, update or delete jobs, one row an id, and returns their numbers. They are
-- applied after the caller's transaction commits; the notification wakes the workers' promotion. Whether a
-- patch decodes is seen then: the libraries check it before they send it.
CREATE OR REPLACE FUNCTION gristmill.outbox_request(request text) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
    AS $gristmill_function$
DECLARE
    asked CONSTANT jsonb := request;
    wanted_verb CONSTANT text := asked ->> 'verb';
    -- As it is written: jsonb would hide a member that comes twice.
    changes CONSTANT text := request::json -> 'patch';
    refusal CONSTANT text := gristmill.outbox_refusal(asked);
    numbers json;
BEGIN
    IF refusal IS NOT NULL THEN
        RETURN refusal;
    ELSIF (asked -> 'verb' IN ('"cancel"', '"update"', '"delete"')) IS NOT TRUE THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the verb is none of cancel, update, delete';
    ELSIF (jsonb_typeof(asked -> 'patch') = 'object') IS DISTINCT FROM (CASE WHEN wanted_verb = 'update' THEN true END) THEN
        RAISE invalid_parameter_value USING MESSAGE = 'an update, and nothing else, has a patch, which is an object';
    ELSIF octet_length(changes) > 3145728 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the patch has more than 3145728 bytes';
    ELSIF jsonb_typeof(asked -> 'actor') NOT IN ('string', 'null') OR octet_length(asked ->> 'actor') > 1024 THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the actor is no text of at most 1024 bytes';
    ELSIF jsonb_typeof(asked -> 'ids') IS DISTINCT FROM 'array' OR EXISTS (
            SELECT FROM jsonb_array_elements(asked -> 'ids') AS element (id)
            WHERE gristmill.outbox_is_id(element.id) IS NOT TRUE) THEN
        RAISE invalid_parameter_value USING MESSAGE = 'the ids are no list of UUIDs';
    END IF;
    WITH stored AS (
        INSERT INTO gristmill.requests (id, verb, patch, actor)
        SELECT element.id::uuid, wanted_verb, changes, asked ->> 'actor'
        FROM jsonb_array_elements_text(asked -> 'ids') WITH ORDINALITY AS element (id, place) ORDER BY element.place
        RETURNING requests.request
    )
    SELECT coalesce(json_agg(stored.request ORDER BY stored.request), '[]') INTO numbers FROM stored;
    PERFORM pg_notify('gristmill_channel', '0 d' || gristmill.now_ms(NULL));
    RETURN json_build_object('requests', numbers);
END
$gristmill_function$;
