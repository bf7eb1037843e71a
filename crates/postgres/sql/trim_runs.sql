-- Purpose: old runs of jobs that have run often go, with their logs and with what they recorded, but for the
--   latest checkpoint of a job. A run that a claim lists stays: without its row it would count as open.
-- Parameters: $1 ids; arrays, one entry an id: $2 the first and $3 the last run that goes.
-- Rows: none.
-- Index: the primary keys of `attempts`, `records` and `logs`, by `ANY`, whatever the plan of the join is.
--   Claims are read as a whole, once in many runs of a job: no fetch keeps an index by job. A claim that
--   lists one of these runs was made before that run ended, so it is in the snapshot of this statement as
--   long as it is there. `IS TRUE` makes a hash of the ids, whatever joins are allowed.
WITH wanted AS MATERIALIZED (
    SELECT item.* FROM unnest($1::uuid[], $2::int4[], $3::int4[]) AS item (id, first, last)
),
listed AS MATERIALIZED (
    SELECT member.id, member.run
    FROM gristmill.claims CROSS JOIN LATERAL unnest(claims.ids, claims.runs) AS member (id, run)
    WHERE (member.id IN (SELECT wanted.id FROM wanted)) IS TRUE
),
gone AS (
    DELETE FROM gristmill.attempts USING wanted
    WHERE attempts.id = ANY ($1) AND attempts.id = wanted.id AND attempts.run >= wanted.first AND attempts.run <= wanted.last
        AND NOT EXISTS (SELECT FROM listed WHERE listed.id = attempts.id AND listed.run = attempts.run)
    RETURNING attempts.id, attempts.run
),
unlogged AS (
    DELETE FROM gristmill.logs USING gone WHERE logs.id = ANY ($1) AND logs.id = gone.id AND logs.run = gone.run
)
DELETE FROM gristmill.records USING wanted
WHERE records.id = ANY ($1) AND records.id = wanted.id AND records.run >= wanted.first AND records.run <= wanted.last
    AND records.run IS DISTINCT FROM (
        SELECT latest.run FROM gristmill.records AS latest WHERE latest.id = wanted.id AND latest.checkpoint IS NOT NULL
        ORDER BY latest.run DESC LIMIT 1)
