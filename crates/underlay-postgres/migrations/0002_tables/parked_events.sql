-- Events that a generation has passed over.
CREATE TABLE {schema}.parked_events (
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    name text COLLATE "C" NOT NULL,
    generation integer NOT NULL,
    position bigint NOT NULL,
    stream text COLLATE "C" NOT NULL,
    version bigint NOT NULL,
    event_id uuid NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (tenant, name, generation, position)
);

-- In the order of the log, across tenants: for who looks after the view.
CREATE INDEX parked_events_by_position ON {schema}.parked_events (name, generation, position);
