-- Purpose: rows of `ready` and `waiting` without a job disappear.
-- Parameters: $1 only ids behind this one; $2 up to this one, NULL for all; $3 how many rows of each table
--   are looked at.
-- Rows: id.
-- Index: the primary keys. A job and its row are stored, and deleted, by one transaction: a statement that
--   sees the one without the other sees a stray.
WITH place AS MATERIALIZED (
    (SELECT id FROM gristmill.ready
    WHERE id > $1::uuid AND id <= coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff') ORDER BY id LIMIT $3::int8)
    UNION ALL
    (SELECT id FROM gristmill.waiting
    WHERE id > $1 AND id <= coalesce($2, 'ffffffff-ffff-ffff-ffff-ffffffffffff') ORDER BY id LIMIT $3)
),
stray AS MATERIALIZED (
    SELECT place.id FROM place WHERE (SELECT stored.id FROM gristmill.jobs AS stored WHERE stored.id = place.id) IS NULL
),
available AS (DELETE FROM gristmill.ready WHERE id = ANY (ARRAY(SELECT stray.id FROM stray)) RETURNING id),
waits AS (DELETE FROM gristmill.waiting WHERE id = ANY (ARRAY(SELECT stray.id FROM stray)) RETURNING id)
SELECT id FROM available UNION ALL SELECT id FROM waits
