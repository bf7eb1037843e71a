-- Purpose: when steps of maintenance succeeded or failed.
-- Parameters: $1 now (ms); arrays, one entry a step: $2 its name, $3 why it failed, NULL for a success.
-- Rows: none.
-- Index: the primary key of `steps`. A success is written down once in five minutes.
INSERT INTO gristmill.steps AS step (step, succeeded_at, failed_at, error)
SELECT item.step, CASE WHEN item.error IS NULL THEN $1::int8 END, CASE WHEN item.error IS NOT NULL THEN $1 END, item.error
FROM unnest($2::text[], $3::text[]) AS item (step, error)
WHERE NOT EXISTS (
    SELECT FROM gristmill.steps AS known
    WHERE known.step = item.step AND known.error IS NULL AND item.error IS NULL AND known.succeeded_at > $1 - 300000)
ORDER BY item.step
ON CONFLICT (step) DO UPDATE SET
    succeeded_at = coalesce(excluded.succeeded_at, step.succeeded_at),
    failed_at = coalesce(excluded.failed_at, step.failed_at), error = excluded.error
