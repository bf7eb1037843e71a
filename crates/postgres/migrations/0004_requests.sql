-- Requests to cancel, update or delete jobs, stored by `outbox_request` in the caller's transaction.
-- Maintenance applies them after the commit, in the order of their numbers as far as they are visible, and
-- deletes the rows.
CREATE TABLE gristmill.requests (
    request bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id      uuid NOT NULL,
    -- cancel, update or delete.
    verb    text NOT NULL,
    -- JSON, of an update.
    patch   text,
    actor   text,
    -- Why the row does not decode. Such a row is not applied, and `doctor` shows it.
    fault   text
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX requests_open ON gristmill.requests (request) WHERE fault IS NULL;
-- Verbs are no longer applied in SQL, and jobs are checked by the libraries that send them.
DROP FUNCTION IF EXISTS
    gristmill.outbox_json_fault(text), gristmill.outbox_twice(json), gristmill.outbox_options_fault(json),
    gristmill.outbox_is_whole(jsonb, jsonb, jsonb), gristmill.outbox_queues(text[]), gristmill.outbox_tell(text[]),
    gristmill.outbox_take_keys(integer[], uuid[], integer[], bytea[]), gristmill.outbox_holder(uuid, integer, bytea),
    gristmill.outbox_put(uuid, text, text, integer, integer, text, text, text, bigint, bigint, boolean),
    gristmill.outbox_store_one(text), gristmill.outbox_whole(jsonb, text, numeric, numeric),
    gristmill.outbox_name(jsonb, text), gristmill.outbox_known(jsonb, text, text[]),
    gristmill.outbox_duration(jsonb, text, bigint), gristmill.outbox_locate(uuid[]),
    gristmill.outbox_erase(uuid[], uuid[]), gristmill.outbox_kept(text),
    gristmill.outbox_act(text, uuid[], jsonb, text, bigint), gristmill.outbox_operate(text, text),
    gristmill.outbox_cancel(text), gristmill.outbox_update(text);
