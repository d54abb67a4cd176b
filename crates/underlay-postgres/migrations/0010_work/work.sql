-- What commits have sent on and is ready, until it is done. `place` is that of all work, in the order of
-- commits; times are microseconds since 1970. A row is written once and removed once. What is not ready stands in
-- `work_later` or `dead_letters`, which have the same columns in the same order, so that a row moves as it is:
-- `due_at`, `holds`, `died_at` and `is_final` are theirs. `begun` counts how often it was begun without an end, where
-- that is counted; then alone a row is changed.
CREATE TABLE {schema}.work (
    place bigint NOT NULL,
    sent_at bigint NOT NULL,
    version bigint NOT NULL,
    due_at bigint,
    died_at bigint,
    work_id uuid NOT NULL,
    commit_id uuid NOT NULL,
    attempts integer NOT NULL DEFAULT 0,
    begun integer NOT NULL DEFAULT 0,
    shard smallint NOT NULL,
    lane smallint NOT NULL,
    is_final boolean,
    holds boolean NOT NULL DEFAULT false,
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    kind text COLLATE "C" NOT NULL,
    receiver text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    encoding text,
    key_id text,
    last_error text,
    metadata json NOT NULL,
    payload json NOT NULL,
    PRIMARY KEY (shard, lane, place)
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 5000,
    autovacuum_vacuum_insert_scale_factor = 1
);

-- What a tenant has waiting, however much of others is before it.
CREATE INDEX work_by_tenant ON {schema}.work (shard, lane, tenant, place);
