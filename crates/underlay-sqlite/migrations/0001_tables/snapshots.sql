-- States stored beside the log, one a stream: a shortcut, never the truth.
CREATE TABLE snapshots (
    tenant TEXT NOT NULL,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    state TEXT NOT NULL,
    PRIMARY KEY (tenant, stream)
) STRICT;
