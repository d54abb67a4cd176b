-- Times are microseconds since 1970. `commit_tail` counts the events of the same commit that follow.
-- `encoding` and `key_id` say how the payload is written; NULL is plain JSON, and otherwise its text is JSON too.
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

-- What a tenant reads of the log. Only this index has the order of tenant and position, which a read asks for.
CREATE INDEX events_by_tenant ON {schema}.events (tenant, position);

-- An id is one of all tenants', or nearly so: by itself it leads to its row. To a server that takes a tenant
-- to have one row, since its statistics are older than the tenant, an index that begins with the tenant
-- would be as good as any other that does.
CREATE UNIQUE INDEX events_by_id ON {schema}.events (event_id, tenant);
