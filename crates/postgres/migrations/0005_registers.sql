-- Small values that several processes agree on. A row past `forget_at` counts as absent; `prune` deletes it ten
-- minutes later.
CREATE TABLE gristmill.registers (
    space     text COLLATE "C" NOT NULL,
    key       bytea NOT NULL,
    stamp     bigint NOT NULL,
    value     text NOT NULL,
    due       bigint,
    forget_at bigint,
    PRIMARY KEY (space, key)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.01, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX registers_due ON gristmill.registers (space, due, key) WHERE due IS NOT NULL;
CREATE INDEX registers_forget ON gristmill.registers (forget_at) WHERE forget_at IS NOT NULL;
