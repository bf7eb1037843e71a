-- Numbers of the whole store that `meta` has from here on: `compatible_from`, the schema version of the
-- oldest program that may run; `outbox_oldest` and `outbox_newest`, the outbox protocols that are accepted.
-- The migration that was applied last has written them, see `numbers` in `src/migrate.rs`. The version of the
-- schema is `user_version` in the file's header.
DELETE FROM meta WHERE name = 'schema';
DROP VIEW IF EXISTS outbox_schema;
