-- Requests to cancel, update or delete jobs, stored by `outbox_request` in the caller's transaction. Maintenance applies
-- them after the commit, in the order of their numbers as far as they are visible, and deletes the rows.
CREATE TABLE gristmill.requests (
    request bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    id      uuid NOT NULL,
    -- cancel, update or delete.
    verb    text NOT NULL,
    -- JSON, of an update.
    patch   text,
    actor   text,
    -- Why the row does not decode. Such a row is not applied, and `doctor` shows it.
    fault   text
) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX requests_open ON gristmill.requests (request) WHERE fault IS NULL;
