-- The catalogue of views. The rows of a generation are in a table of the schema for views, made by
-- the worker that folds it. Numbers of generations are never given twice.
CREATE TABLE {schema}.views (
    name text COLLATE "C" PRIMARY KEY,
    generation integer NOT NULL,
    last_generation integer NOT NULL DEFAULT 1
);
