-- The catalogue of entities. Those of one name are in a table `entity_<name>`. `definition` is their schema as
-- JSON, with the columns in the order of the table.
CREATE TABLE entities (
    name TEXT PRIMARY KEY,
    definition TEXT NOT NULL
) STRICT, WITHOUT ROWID;
