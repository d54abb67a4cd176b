-- One row. `fence` is raised to overwrite what a failed COMMIT may have left in the WAL.
CREATE TABLE store (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    id BLOB NOT NULL CHECK (length(id) = 16),
    created_at INTEGER NOT NULL,
    fence INTEGER NOT NULL DEFAULT 0
) STRICT;
