-- Purpose: looks at a job and requests a change of it by the functions that are there for other programs.
-- Parameters: $1 the job's id; $2 the outbox protocol.
-- Rows: one: what each of them returns.
-- Index: as those functions'. The transaction is rolled back.
SELECT gristmill.outbox_get(request.ids), gristmill.outbox_list(request.filter), gristmill.outbox_request(request.patch)
FROM (
    SELECT plain::text AS ids, (plain || '{"limit": 1}')::text AS filter,
        (plain || '{"verb": "update", "patch": {"priority": 1}}')::text AS patch
    FROM jsonb_build_object('protocol', $2::int4, 'ids', jsonb_build_array($1::uuid)) AS plain
    OFFSET 0
) AS request
