-- Events that a person ordered a view to pass over, whatever generation of it is read. They are kept for
-- ever. `skipped` is a SkippedEvent as JSON.
CREATE TABLE {schema}.skipped_events (
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    name text COLLATE "C" NOT NULL,
    position bigint NOT NULL,
    event_id uuid NOT NULL,
    skipped json NOT NULL,
    PRIMARY KEY (tenant, name, position, event_id)
);

-- In the order of the log, across tenants: for who looks after the view.
CREATE INDEX skipped_events_by_position ON {schema}.skipped_events (name, position);
