-- Purpose: jobs that wait for a handler of some kinds become available, due no later than now.
-- Parameters: $1 now for tests (ms) or NULL; $2 kinds; $3 the reason they wait for; $4 at most this many.
-- Rows: queue, priority, the first one's run_at (ms) and id, how many; one a queue and priority.
-- Index: `waiting_reason`, then the primary key of `jobs`. Of `waiting` no other index fits: where the table looks empty, one
--   in the order of the ids, or of the due jobs alone, is as cheap, and all of it is read. Rows that others hold are theirs
--   to move.
WITH moment AS MATERIALIZED (SELECT gristmill.now_ms($1::int8) AS now),
woken AS (
    DELETE FROM gristmill.waiting WHERE ctid = ANY (ARRAY(
        SELECT waiting.ctid FROM gristmill.waiting
        WHERE waiting.reason = $3::text AND waiting.state + 0 IN (1, 4)
            AND (SELECT jobs.kind FROM gristmill.jobs WHERE jobs.id = waiting.id) = ANY ($2::text[])
        ORDER BY waiting.id::text COLLATE "C" LIMIT $4::int8 FOR UPDATE OF waiting SKIP LOCKED))
    RETURNING id, run_at, queue, run, attempt, priority, crashes
),
due AS MATERIALIZED (
    SELECT id, least(run_at, now) AS run_at, queue, run, attempt, priority, crashes FROM woken, moment
),
available AS (
    INSERT INTO gristmill.ready (id, run_at, queue, run, attempt, priority, crashes)
    SELECT id, run_at, queue, run, attempt, priority, crashes FROM due
)
SELECT queue, priority, min(run_at), (array_agg(id ORDER BY run_at, id))[1], count(*)
FROM due GROUP BY queue, priority
