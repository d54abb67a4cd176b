-- Generations that are gone, and have left their tables.
CREATE TABLE discarded_generations (
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    PRIMARY KEY (name, generation)
) STRICT, WITHOUT ROWID;
