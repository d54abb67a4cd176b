-- Where a generation does not go on, and why. It counts as long as the generation is at `position`.
-- `stop` is a ViewStop as JSON.
CREATE TABLE {schema}.view_stops (
    name text COLLATE "C" NOT NULL,
    generation integer NOT NULL,
    position bigint NOT NULL,
    stop json NOT NULL,
    PRIMARY KEY (name, generation)
);

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

ALTER TABLE {schema}.view_stops ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE {schema}.skipped_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY worked ON {schema}.view_stops TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY worked ON {schema}.skipped_events TO {worker} USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.view_stops TO {worker};
GRANT SELECT, INSERT ON {schema}.skipped_events TO {worker};
