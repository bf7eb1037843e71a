-- Purpose: looks at a job, changes it and cancels it by the functions that are there for other programs.
-- Parameters: $1 the job's id; $2 the outbox protocol.
-- Rows: one: what each of them answers.
-- Index: as those functions'. The transaction is rolled back.
SELECT gristmill.outbox_get(request.ids), gristmill.outbox_update(request.patch), gristmill.outbox_cancel(request.ids)
FROM (
    SELECT plain::text AS ids, (plain || '{"patch": {"priority": 1}}')::text AS patch
    FROM jsonb_build_object('protocol', $2::int4, 'ids', jsonb_build_array($1::uuid)) AS plain
    OFFSET 0
) AS request
