-- What was last ordered of a view, and what has become of it. `body` is the engine's: no statement reads it.
CREATE TABLE view_orders (
    name TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    body TEXT NOT NULL
) STRICT, WITHOUT ROWID;
