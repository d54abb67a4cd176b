-- Generations that are gone, and have left their tables.
CREATE TABLE {schema}.discarded_generations (
    name text COLLATE "C" NOT NULL,
    generation integer NOT NULL,
    PRIMARY KEY (name, generation)
);
