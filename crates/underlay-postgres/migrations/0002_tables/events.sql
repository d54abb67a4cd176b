-- Times are microseconds since 1970. `commit_tail` counts the events of the same commit that follow.
-- `encoding` and `key_id` say how payload and metadata are written; NULL is plain JSON.
CREATE TABLE {schema}.events (
    position bigint PRIMARY KEY,
    version bigint NOT NULL,
    recorded_at bigint NOT NULL,
    schema_version bigint NOT NULL,
    event_id uuid NOT NULL,
    commit_tail integer NOT NULL,
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    stream text COLLATE "C" NOT NULL,
    type text COLLATE "C" NOT NULL,
    encoding text,
    key_id text,
    metadata json NOT NULL,
    payload json NOT NULL
);

CREATE UNIQUE INDEX events_by_stream ON {schema}.events (tenant, stream, version);

-- An id is one of all tenants', or nearly so: by itself it leads to its row, and no index but that of
-- the streams begins with the tenant. To a server that takes a tenant to have one row, since its statistics
-- are older than the tenant, such an index was as good as the one that leads to the row.
CREATE UNIQUE INDEX events_by_id ON {schema}.events (event_id, tenant);
