-- Small values that several processes agree on. Keys compare as bytes. A row past `forget_at` counts as absent;
-- `prune` deletes it ten minutes later.
CREATE TABLE registers (
    space     TEXT NOT NULL,
    key       BLOB NOT NULL,
    stamp     INTEGER NOT NULL,
    value     TEXT NOT NULL,
    due       INTEGER,
    forget_at INTEGER,
    PRIMARY KEY (space, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX registers_due ON registers (space, due, key) WHERE due IS NOT NULL;
CREATE INDEX registers_forget ON registers (forget_at) WHERE forget_at IS NOT NULL;
