-- Purpose: ends completed runs; a batch only if its claim has as many open runs and no requested cancel.
-- Parameters: $1 now for tests (ms) or NULL; $2 until when (ms) the oldest of the jobs goes with its
--   partition; arrays, one entry a claim, nonces ascending: $3 nonce, $4 how many of the items are its, $5
--   the place in $7 of its last item, from 1, $6 its token; arrays, one entry an item, in the order of the
--   claims: $7 id, $8 run and $9 attempt, each empty if all are 1, $10 run_at (ms), $11 started_at (ms), -1
--   for none.
-- Rows: the places in $3, from 1, of the claims whose items were accepted.
-- Index: the primary keys of `claims`, by `ANY` since a plan made when there was hardly a claim may turn the
--   join round, and of `attempts`, which a run that has ended breaks: all is rolled back. Of the two claims
--   that match by the snapshot one at most matches under the lock. Subscripts are quick: no array holds a
--   NULL. Several claims are locked in the order of their nonces before the first of them changes: those that
--   go would else be locked before those that stay.
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
accepted AS MATERIALIZED (SELECT * FROM gone UNION ALL SELECT * FROM kept),
appended AS (
    INSERT INTO gristmill.attempts
        (id, worker, fetched_at, finished_at, run_at, started_at, run, attempt, token, ending, state, ended_by)
    SELECT ($7::uuid[])[item], accepted.worker, accepted.fetched_at, moment.now, ($10::int8[])[item],
        nullif(($11::int8[])[item], -1), coalesce(($8::int4[])[item], 1), coalesce(($9::int4[])[item], 1), accepted.token, 0,
        5, 0
    FROM moment, accepted, generate_series(accepted.last - accepted.items + 1, accepted.last) AS item
),
counted AS (
    INSERT INTO gristmill.tallies (completed, stale, queue)
    SELECT sum(items), 0, queue FROM accepted GROUP BY queue
)
SELECT accepted.place::int4 FROM accepted
