-- Purpose: due jobs become available, the longest due first.
-- Parameters: $1 now, NULL for the store's clock (ms); $2 at most this many; $3 only jobs due at this instant
--   or later (ms); $4 whether to look for requests.
-- Rows: queue, priority, the first one's run_at (ms) and id, how many, the last one's run_at (ms), NULL three
--   times; one a queue and priority. One row more, whose queue is NULL, says in the same columns: now (ms), how many
--   were due, counted up to one more than the limit, when the next job is due after now (ms) or NULL; and
--   whether requests wait to be applied, NULL without $4, between the times before and after that look (us).
-- Index: `waiting_due`, whose condition is repeated literally. The rows are deleted by where they are: `id IN
--   (…)` turned into a scan of the table under a generic plan. Rows that others hold are theirs to move; the
--   count tells that there are some. A priority that cannot be counts as the nearest that can: no fetch looks
--   for another one. $3 spares the dead entries of those that were promoted before, which stay as long as an
--   old snapshot does.
WITH moment AS MATERIALIZED (SELECT gristmill.now_ms($1::int8) AS now),
due AS (
    DELETE FROM gristmill.waiting WHERE ctid = ANY (ARRAY(
        SELECT ctid FROM gristmill.waiting
        WHERE state IN (1, 4) AND kind IS NULL AND run_at <= (SELECT now FROM moment) AND run_at >= $3::int8
        ORDER BY run_at, id LIMIT $2::int8 FOR UPDATE SKIP LOCKED))
    RETURNING id, run_at, queue, run, attempt, least(greatest(priority, -10), 10)::int2 AS priority, crashes
),
available AS (
    INSERT INTO gristmill.ready (id, run_at, queue, run, attempt, priority, crashes)
    SELECT id, run_at, queue, run, attempt, priority, crashes FROM due
)
SELECT queue, priority, min(run_at), (array_agg(id ORDER BY run_at, id))[1], count(*), max(run_at), NULL, NULL, NULL
FROM due GROUP BY queue, priority
UNION ALL
SELECT NULL, NULL, moment.now, NULL, (
        SELECT count(*) FROM (
            SELECT FROM gristmill.waiting
            WHERE state IN (1, 4) AND kind IS NULL AND run_at <= moment.now AND run_at >= $3 ORDER BY run_at, id LIMIT $2 + 1
        ) AS counted
    ), (
        SELECT run_at FROM gristmill.waiting
        WHERE state IN (1, 4) AND kind IS NULL AND run_at > moment.now ORDER BY run_at, id LIMIT 1
    ), (extract(epoch FROM clock_timestamp()) * 1000000)::int8,
    CASE WHEN $4::bool THEN EXISTS (SELECT FROM gristmill.requests WHERE fault IS NULL ORDER BY request LIMIT 1) END,
    (extract(epoch FROM clock_timestamp()) * 1000000)::int8
FROM moment
