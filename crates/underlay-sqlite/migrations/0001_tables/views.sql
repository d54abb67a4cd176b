-- The catalogue of views. The rows of a generation are in a table `view_<name>_<generation>`. Numbers of
-- generations are never given twice.
CREATE TABLE views (
    name TEXT PRIMARY KEY,
    generation INTEGER NOT NULL,
    last_generation INTEGER NOT NULL DEFAULT 1
) STRICT, WITHOUT ROWID;
