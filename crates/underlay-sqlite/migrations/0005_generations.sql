-- Numbers of generations are never given twice.
ALTER TABLE views ADD COLUMN last_generation INTEGER NOT NULL DEFAULT 1;

UPDATE views
SET last_generation = (
    SELECT max(generation)
    FROM view_generations
    WHERE view_generations.name = views.name
);

-- When a generation stopped being the one that is read, in microseconds since 1970; it answers nothing
-- from then on, and can come back.
ALTER TABLE view_generations ADD COLUMN replaced_at INTEGER;

-- Generations that are gone, and have left their tables.
CREATE TABLE discarded_generations (
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY (name, generation)
) STRICT, WITHOUT ROWID;

-- Events that a generation has passed over.
CREATE TABLE parked_events (
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    position INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (name, generation, position)
) STRICT, WITHOUT ROWID;
