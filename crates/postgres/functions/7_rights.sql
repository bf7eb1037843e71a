-- What the functions say of themselves, and that none is everybody's.

COMMENT ON FUNCTION gristmill.enqueue(text, jsonb, jsonb) IS
$gristmill_function$Stores a job in this transaction; workers see it once that commits.
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
COMMENT ON FUNCTION gristmill.outbox_request(text) IS 'For libraries: stores requests that are applied after the commit, as JSON.';
COMMENT ON FUNCTION gristmill.outbox_get(text) IS 'For libraries: shows jobs as this transaction sees them, as JSON.';

REVOKE EXECUTE ON FUNCTION
    gristmill.now_ms(bigint),
    gristmill.queue_number(text),
    gristmill.name_queues(),
    gristmill.lease_ends(bigint, bigint, bigint),
    gristmill.first_id(bigint),
    gristmill.worker_lock(uuid),
    gristmill.keep_worker(uuid, bigint),
    gristmill.claims_listing(uuid[]),
    gristmill.strike(uuid[], uuid[]),
    gristmill.erase(uuid[]),
    gristmill.made_at(uuid),
    gristmill.partitions(),
    gristmill.make_partition(text, bigint, bigint, bigint),
    gristmill.note_change(),
    gristmill.watch_partition(bigint),
    gristmill.drop_partition(bigint, bigint),
    gristmill.outbox_is_odd(text),
    gristmill.outbox_json_fault(text),
    gristmill.outbox_is_id(jsonb),
    gristmill.outbox_is_whole(jsonb, jsonb, jsonb),
    gristmill.outbox_twice(json),
    gristmill.outbox_options_fault(json),
    gristmill.outbox_job_fault(jsonb),
    gristmill.outbox_refusal(jsonb),
    gristmill.outbox_queues(text[]),
    gristmill.outbox_tell(text[]),
    gristmill.outbox_take_keys(integer[], uuid[], integer[], bytea[]),
    gristmill.outbox_refuse_ahead(uuid, bigint),
    gristmill.outbox_store(text),
    gristmill.outbox_holder(uuid, integer, bytea),
    gristmill.outbox_put(uuid, text, text, integer, integer, text, text, text, bigint, bigint, boolean),
    gristmill.outbox_store_one(text),
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
    gristmill.outbox_erase(uuid[], uuid[]),
    gristmill.outbox_kept(text),
    gristmill.outbox_act(text, uuid[], jsonb, text, bigint),
    gristmill.outbox_operate(text, text),
    gristmill.outbox_cancel(text),
    gristmill.outbox_update(text),
    gristmill.outbox_request(text),
    gristmill.outbox_get(text)
    FROM PUBLIC;
