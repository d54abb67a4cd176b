-- Times are microseconds since 1970. `commit_tail` counts the events of the same commit that follow.
-- `encoding` and `key_id` say how the payload is written; NULL is plain JSON, and otherwise its text is JSON too.
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

-- What a tenant reads of the log.
CREATE INDEX events_by_tenant ON events (tenant, position);

CREATE UNIQUE INDEX events_by_id ON events (tenant, event_id);
