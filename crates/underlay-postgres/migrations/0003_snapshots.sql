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

ALTER TABLE {schema}.snapshots ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY of_tenant ON {schema}.snapshots TO {writer}
USING (tenant = current_setting('underlay.tenant', true))
WITH CHECK (tenant = current_setting('underlay.tenant', true));

GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.snapshots TO {writer};
