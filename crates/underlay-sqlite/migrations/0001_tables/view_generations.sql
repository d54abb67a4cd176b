-- `definition` is the schema as JSON; (store_id, position, event_id) is the checkpoint. `replaced_at` says
-- when a generation stopped being the one that is read, in microseconds since 1970; it answers nothing from
-- then on, and can come back.
CREATE TABLE view_generations (
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    fingerprint BLOB NOT NULL,
    definition TEXT NOT NULL,
    store_id BLOB NOT NULL,
    position INTEGER NOT NULL,
    event_id BLOB,
    replaced_at INTEGER,
    PRIMARY KEY (name, generation)
) STRICT, WITHOUT ROWID;
