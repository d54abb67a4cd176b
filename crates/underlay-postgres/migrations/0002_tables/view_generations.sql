-- `definition` is the schema of the view as JSON. A row is locked, never changed, by who moves its
-- checkpoint.
CREATE TABLE {schema}.view_generations (
    name text COLLATE "C" NOT NULL,
    generation integer NOT NULL,
    fingerprint bytea NOT NULL,
    definition json NOT NULL,
    PRIMARY KEY (name, generation)
);
