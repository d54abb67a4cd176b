-- The workers that are there, so that each holds an even part of the shards.
CREATE TABLE workers (
    id BLOB PRIMARY KEY,
    holder TEXT NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
