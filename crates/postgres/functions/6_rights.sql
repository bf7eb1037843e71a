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
-- PUBLIC may call no function.
REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA gristmill FROM PUBLIC;
