-- Purpose: looks at a job, changes it and cancels it by the functions that are there for other programs.
-- Parameters: $1 the job's id.
-- Rows: one: what each of them answers.
-- Index: as those functions'. The transaction is rolled back.
SELECT gristmill.outbox_get(request.ids), gristmill.outbox_update(request.patch), gristmill.outbox_cancel(request.ids)
FROM (
    SELECT jsonb_build_object('schema', 2, 'ids', jsonb_build_array($1::uuid))::text AS ids,
        jsonb_build_object('schema', 2, 'ids', jsonb_build_array($1), 'patch', '{"priority": 1}'::jsonb)::text AS patch
    OFFSET 0
) AS request
