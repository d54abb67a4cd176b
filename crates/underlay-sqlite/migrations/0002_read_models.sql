-- The catalogue of views. The rows of a generation are in a table `view_<name>_<generation>`.

CREATE TABLE views (
    name TEXT PRIMARY KEY,
    generation INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- `definition` is the schema as JSON; (store_id, position, event_id) is the checkpoint.
CREATE TABLE view_generations (
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    definition TEXT NOT NULL,
    store_id BLOB NOT NULL,
    position INTEGER NOT NULL,
    event_id BLOB,
    PRIMARY KEY (name, generation)
) STRICT, WITHOUT ROWID;
