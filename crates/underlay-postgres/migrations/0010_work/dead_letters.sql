-- Work that was given up. A person replays or discards it. One that `holds` is a head of its line.
CREATE TABLE {schema}.dead_letters (
    place bigint PRIMARY KEY,
    sent_at bigint NOT NULL,
    version bigint NOT NULL,
    died_at bigint NOT NULL,
    work_id uuid NOT NULL,
    commit_id uuid NOT NULL,
    attempts integer NOT NULL,
    shard smallint NOT NULL,
    lane smallint NOT NULL,
    is_final boolean NOT NULL,
    holds boolean NOT NULL,
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    kind text COLLATE "C" NOT NULL,
    receiver text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    encoding text,
    key_id text,
    last_error text,
    metadata json NOT NULL,
    payload json NOT NULL
);

CREATE INDEX dead_letters_by_id ON {schema}.dead_letters (work_id, tenant);

CREATE INDEX dead_letters_by_tenant ON {schema}.dead_letters (tenant, place);

CREATE INDEX dead_letters_heads ON {schema}.dead_letters (tenant, receiver, key, place) WHERE holds;
