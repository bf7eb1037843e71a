-- Purpose: the newest lines of the logs of a job's runs.
-- Parameters: $1 id; $2 the first run; $3 bytes; the line that reaches them is the last shown.
-- Rows: run, at (ms), text; in the order they were written.
-- Index: the primary key of `logs`.
SELECT run, at, text
FROM (
    SELECT run, line, at, text,
        sum(octet_length(text)) OVER (
            ORDER BY run DESC, line DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING
        ) AS newer
    FROM gristmill.logs WHERE id = $1::uuid AND run >= $2::int4
) AS lines
WHERE coalesce(newer, 0) < $3::int8
ORDER BY run, line
