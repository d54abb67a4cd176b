-- Numbers of generations are never given twice.
ALTER TABLE {schema}.views ADD COLUMN last_generation integer NOT NULL DEFAULT 1;

UPDATE {schema}.views
SET last_generation = greatest(views.generation, known.last)
FROM (
    SELECT name, max(generation) AS last
    FROM {schema}.view_generations
    GROUP BY name
) AS known
WHERE known.name = views.name;

-- The generation of a view that was read before, at most one: it answers nothing, and can come back.
-- Its checkpoint and its rows stay where they are. `replaced_at` is microseconds since 1970.
CREATE TABLE {schema}.replaced_generations (
    name text COLLATE "C" PRIMARY KEY,
    generation integer NOT NULL,
    fingerprint bytea NOT NULL,
    definition json NOT NULL,
    replaced_at bigint NOT NULL
);

-- Generations that are gone, and have left their tables.
CREATE TABLE {schema}.discarded_generations (
    name text COLLATE "C" NOT NULL,
    generation integer NOT NULL,
    PRIMARY KEY (name, generation)
);

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

ALTER TABLE {schema}.replaced_generations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE {schema}.discarded_generations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE {schema}.parked_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY worked ON {schema}.replaced_generations TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY worked ON {schema}.discarded_generations TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY worked ON {schema}.parked_events TO {worker} USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE, DELETE
ON {schema}.replaced_generations, {schema}.discarded_generations, {schema}.parked_events
TO {worker};
