-- `position` is that of the last event, or the head of the log where there is none.
-- `sequence` is the order they were stored in, for an export.
CREATE TABLE {schema}.commits (
    sequence bigint PRIMARY KEY,
    position bigint NOT NULL,
    recorded_at bigint NOT NULL,
    commit_id uuid NOT NULL,
    event_count integer NOT NULL,
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    fingerprint bytea NOT NULL,
    kind text NOT NULL CHECK (kind IN ('accepted', 'refused')),
    code text,
    message text,
    body json
);

CREATE UNIQUE INDEX commits_by_id ON {schema}.commits (commit_id, tenant);

-- Only refusals have a body, until it is forgotten.
CREATE INDEX commits_with_body ON {schema}.commits (recorded_at) WHERE body IS NOT NULL;

-- Refusals, and commands that found nothing to do: they are forgotten after a time.
CREATE INDEX commits_without_events ON {schema}.commits (recorded_at) WHERE event_count = 0;
