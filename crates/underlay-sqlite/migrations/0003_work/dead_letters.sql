-- Work that was given up, until a person replays or discards it. Where it `holds`, it blocks its line.
CREATE TABLE dead_letters (
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
    last_error TEXT NOT NULL,
    died_at INTEGER NOT NULL,
    is_final INTEGER NOT NULL CHECK (is_final IN (0, 1)),
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

CREATE INDEX dead_letters_by_id ON dead_letters (tenant, work_id);

CREATE INDEX dead_letters_by_tenant ON dead_letters (tenant);

CREATE INDEX dead_letters_heads ON dead_letters (tenant, receiver, key) WHERE holds = 1;

-- How many there are.
CREATE INDEX dead_letters_by_receiver ON dead_letters (receiver, kind);
