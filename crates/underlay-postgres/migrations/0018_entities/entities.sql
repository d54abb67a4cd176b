-- Which entities there are. The rows of one are in a table of the schema for entities, made and extended by whoever
-- opens the store. `definition` is what the table was made by, as JSON.
CREATE TABLE {schema}.entities (
    name text COLLATE "C" PRIMARY KEY,
    definition json NOT NULL
);
