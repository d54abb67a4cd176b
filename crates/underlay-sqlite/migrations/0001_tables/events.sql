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
