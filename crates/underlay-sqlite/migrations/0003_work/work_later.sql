-- Work that waits for its moment, is tried again, or stands behind another of its line: of the same tenant,
-- receiver and key. Without `due_at` it stands behind another. Where it `holds`, it blocks its line. Only on its way
-- to the dead letters, or back, does it have a moment of its death.
CREATE TABLE work_later (
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
    payload TEXT NOT NULL,
    CHECK (holds = 1 OR due_at NOTNULL OR died_at NOTNULL)
) STRICT;

-- What passes over a tenant looks at no row of the table.
CREATE INDEX work_later_due ON work_later (shard, due_at, place, tenant) WHERE due_at IS NOT NULL;

CREATE INDEX work_later_due_of_tenant ON work_later (shard, tenant, due_at, place) WHERE due_at IS NOT NULL;

-- The first of a line that is blocked.
CREATE INDEX work_later_heads ON work_later (tenant, receiver, key) WHERE holds = 1 AND due_at IS NOT NULL;

-- Those that stand behind it, in order.
CREATE INDEX work_later_behind ON work_later (tenant, receiver, key) WHERE due_at IS NULL;

CREATE INDEX work_later_by_tenant ON work_later (tenant);

-- How much there is, and how much of it is due.
CREATE INDEX work_later_by_receiver ON work_later (receiver, kind, due_at);
