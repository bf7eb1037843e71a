-- Purpose: as `finish`, where items have words or outputs, or jobs do not go with their partition.
-- Parameters: as of `finish`, $8 and $9 never empty, and arrays, one entry an item: $12 reason, $13 output,
--   $14 whether its job's deletion has to be noted; $15 how long a completed job stays (ms).
-- Rows: as of `finish`.
-- Index: as of `finish`. These arrays are cut for each claim, since a subscript into one would read it from
--   its start.
WITH moment AS MATERIALIZED (SELECT gristmill.now_ms($1::int8) AS now),
locked AS MATERIALIZED (
    SELECT FROM gristmill.claims WHERE cardinality($3::uuid[]) > 1 AND nonce = ANY ($3) ORDER BY nonce FOR UPDATE
),
wanted AS MATERIALIZED (
    SELECT claim.* FROM moment,
        unnest($3::uuid[], $4::int4[], $5::int4[], $6::int4[]) WITH ORDINALITY AS claim (nonce, items, last, token, place)
    WHERE moment.now <= $2::int8 AND (SELECT count(*) FROM locked) >= 0
),
gone AS (
    DELETE FROM gristmill.claims USING wanted
    WHERE claims.nonce = wanted.nonce AND claims.nonce = ANY ($3) AND claims.open = wanted.items AND claims.cancels IS NULL
    RETURNING claims.worker, claims.fetched_at, claims.queue, wanted.items, wanted.last, wanted.token, wanted.place
),
kept AS (
    UPDATE gristmill.claims SET open = claims.open - wanted.items FROM wanted
    WHERE claims.nonce = wanted.nonce AND claims.nonce = ANY ($3) AND claims.open > wanted.items AND claims.cancels IS NULL
    RETURNING claims.worker, claims.fetched_at, claims.queue, wanted.items, wanted.last, wanted.token, wanted.place
),
accepted AS MATERIALIZED (
    SELECT batch.*, batch.last - batch.items + 1 AS first FROM (SELECT * FROM gone UNION ALL SELECT * FROM kept) AS batch
),
item AS MATERIALIZED (
    SELECT accepted.worker, accepted.fetched_at, accepted.token, item.*
    FROM accepted CROSS JOIN LATERAL unnest(
            ($7::uuid[])[first:last], ($8::int4[])[first:last], ($9::int4[])[first:last], ($10::int8[])[first:last],
            ($11::int8[])[first:last], ($12::text[])[first:last], ($13::bytea[])[first:last], ($14::bool[])[first:last])
        AS item (id, run, attempt, run_at, started_at, reason, output, expires)
),
appended AS (
    INSERT INTO gristmill.attempts (id, worker, fetched_at, finished_at, run_at, started_at, run, attempt, token, ending,
        state, ended_by, reason, output)
    SELECT item.id, item.worker, item.fetched_at, moment.now, item.run_at, nullif(item.started_at, -1), item.run,
        item.attempt, item.token, 0, 5, 0, item.reason, item.output
    FROM moment, item
),
counted AS (
    INSERT INTO gristmill.tallies (completed, stale, queue)
    SELECT sum(items), 0, queue FROM accepted GROUP BY queue
),
expiring AS (
    INSERT INTO gristmill.expiries (delete_at, id)
    SELECT moment.now + $15::int8, item.id FROM moment, item WHERE item.expires
    ON CONFLICT DO NOTHING
)
SELECT accepted.place::int4 FROM accepted
