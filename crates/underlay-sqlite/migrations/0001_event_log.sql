-- The log, the outcomes of the commits that wrote it, and the identity of both.

CREATE TABLE migrations (
    number INTEGER PRIMARY KEY,
    name TEXT NOT NULL,
    checksum BLOB NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT;

-- One row. `fence` is raised to overwrite what a failed COMMIT may have left in the WAL.
CREATE TABLE store (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    id BLOB NOT NULL CHECK (length(id) = 16),
    created_at INTEGER NOT NULL,
    fence INTEGER NOT NULL DEFAULT 0
) STRICT;

-- Times are microseconds since 1970. `commit_tail` counts the events of the same commit that follow.
-- `encoding` and `key_id` say how payload and metadata are written; NULL is plain JSON.
CREATE TABLE events (
    position INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    type TEXT NOT NULL,
    schema_version INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    commit_tail INTEGER NOT NULL,
    encoding TEXT,
    key_id TEXT,
    metadata TEXT NOT NULL,
    payload TEXT NOT NULL
) STRICT;

CREATE UNIQUE INDEX events_by_stream ON events (tenant, stream, version);

CREATE UNIQUE INDEX events_by_id ON events (tenant, event_id);

CREATE TRIGGER events_are_not_updated BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only: they cannot be updated');
END;

-- With recursive_triggers this refuses INSERT OR REPLACE too.
CREATE TRIGGER events_are_not_deleted BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only: they cannot be deleted');
END;

-- `position` is that of the last event, or the head of the log where there is none.
-- `sequence` is the order they were stored in, for an export.
CREATE TABLE commits (
    sequence INTEGER PRIMARY KEY,
    tenant TEXT NOT NULL,
    commit_id BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('accepted', 'refused')),
    code TEXT,
    message TEXT,
    body TEXT,
    position INTEGER NOT NULL,
    event_count INTEGER NOT NULL,
    recorded_at INTEGER NOT NULL,
    UNIQUE (tenant, commit_id)
) STRICT;

-- Only refusals have a body, until it is forgotten.
CREATE INDEX commits_with_body ON commits (recorded_at) WHERE body IS NOT NULL;
