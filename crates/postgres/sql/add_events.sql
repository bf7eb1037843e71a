-- Purpose: appends to what happened to jobs outside their leases; a job that is gone leaves nothing.
-- Parameters: $1 now (ms); arrays, one entry an event: $2 id, $3 what, $4 actor, $5 detail.
-- Rows: none.
-- Index: the primary key of `jobs`. The events of a job are numbered in the order of the arrays.
INSERT INTO gristmill.events (id, at, what, actor, detail)
SELECT item.id, $1::int8, item.what, item.actor, item.detail
FROM unnest($2::uuid[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY
    AS item (id, what, actor, detail, place)
WHERE EXISTS (SELECT FROM gristmill.jobs WHERE jobs.id = item.id OFFSET 0)
ORDER BY item.place
