-- Purpose: adds to a run's log what it does not have; the oldest lines go.
-- Parameters: $1 id; $2 run; arrays, one entry a line, in their order: $3 its number, $4 at (ms), $5 text; $6
--   how many lines a run keeps.
-- Rows: none.
-- Index: the primary key of `logs`. The caller holds the lock of the claim.
WITH newest AS MATERIALIZED (
    SELECT greatest(($3::int4[])[cardinality($3)], (
        SELECT line FROM gristmill.logs WHERE id = $1::uuid AND run = $2::int4 ORDER BY line DESC LIMIT 1
    )) AS line
),
added AS (
    INSERT INTO gristmill.logs (id, run, line, at, text)
    SELECT $1, $2, new.line, new.at, new.text
    FROM newest, unnest($3, $4::int8[], $5::text[]) AS new (line, at, text)
    WHERE new.line > newest.line - $6::int8
    ON CONFLICT DO NOTHING
)
DELETE FROM gristmill.logs USING newest
WHERE logs.id = $1 AND logs.run = $2 AND logs.line <= newest.line - $6
