-- How far those have come that follow the log and keep no rows.
CREATE TABLE checkpoints (
    name TEXT PRIMARY KEY,
    store_id BLOB NOT NULL,
    position INTEGER NOT NULL,
    event_id BLOB,
    definition TEXT NOT NULL
) STRICT;
