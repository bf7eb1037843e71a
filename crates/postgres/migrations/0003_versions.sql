-- Which programs and which requests this schema serves, beside its version in `migrations`. One row. The
-- migration that was applied last has written it, see `numbers` in `src/migrate.rs`.
CREATE TABLE gristmill.versions (
    one             boolean NOT NULL PRIMARY KEY DEFAULT true CHECK (one),
    -- The schema version of the oldest program that may run.
    compatible_from integer NOT NULL,
    -- The outbox protocols that are accepted.
    outbox_oldest   integer NOT NULL,
    outbox_newest   integer NOT NULL
);
DROP FUNCTION IF EXISTS gristmill.outbox_schema();
