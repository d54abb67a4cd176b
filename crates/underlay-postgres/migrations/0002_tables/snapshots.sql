-- States stored beside the log, one a stream: a shortcut, never the truth.
CREATE TABLE {schema}.snapshots (
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    stream text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    event_id uuid NOT NULL,
    fingerprint bytea NOT NULL,
    state json NOT NULL,
    PRIMARY KEY (tenant, stream)
);
