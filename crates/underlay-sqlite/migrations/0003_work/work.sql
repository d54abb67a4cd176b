-- Work that is ready. `place` follows from the sequence of its commit, so it only grows. What a reader walks
-- over comes first; the payload comes last. What is not ready stands in `work_later` or `dead_letters`, which have
-- the same columns in the same order, so that a row moves as it is: `due_at`, `holds`, `died_at` and `is_final` are
-- theirs. `begun` counts how often it was begun without an end, where that is counted.
CREATE TABLE work (
    place INTEGER PRIMARY KEY,
    shard INTEGER NOT NULL,
    lane INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    receiver TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('message', 'command', 'input', 'timer')),
    key TEXT NOT NULL,
    due_at INTEGER,
    holds INTEGER NOT NULL DEFAULT 0 CHECK (holds IN (0, 1)),
    attempts INTEGER NOT NULL DEFAULT 0,
    begun INTEGER NOT NULL DEFAULT 0,
    last_error TEXT,
    died_at INTEGER,
    is_final INTEGER CHECK (is_final IN (0, 1)),
    name TEXT NOT NULL,
    version INTEGER NOT NULL,
    work_id BLOB NOT NULL,
    commit_id BLOB NOT NULL,
    sent_at INTEGER NOT NULL,
    encoding TEXT,
    key_id TEXT,
    metadata TEXT NOT NULL,
    payload TEXT NOT NULL
) STRICT;

-- What passes over a tenant, or counts, looks at no row of the table.
CREATE INDEX work_in_order ON work (shard, lane, place, tenant, receiver, kind);

-- A place follows the tenant: every index ends with the key of its table.
CREATE INDEX work_by_tenant ON work (shard, lane, tenant);
