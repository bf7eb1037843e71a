-- Purpose: adds to a run's log; the oldest lines go.
-- Parameters: $1 id; $2 run; arrays, one entry a line: $3 at (ms), $4 text; $5 how many lines a run keeps.
-- Rows: none.
-- Index: the primary key of `logs`. The caller holds the lock of the claim, so the numbers are its own.
WITH latest AS MATERIALIZED (
    SELECT coalesce(max(line), 0) AS line FROM gristmill.logs WHERE id = $1::uuid AND run = $2::int4
),
added AS (
    INSERT INTO gristmill.logs (id, run, line, at, text)
    SELECT $1, $2, latest.line + new.place, new.at, new.text
    FROM latest, unnest($3::int8[], $4::text[]) WITH ORDINALITY AS new (at, text, place)
)
DELETE FROM gristmill.logs USING latest
WHERE logs.id = $1 AND logs.run = $2 AND logs.line <= latest.line + cardinality($3) - $5::int8
