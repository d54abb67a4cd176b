-- Events that a person ordered a view to pass over, whatever generation of it is read. They are kept for
-- ever. `skipped` is a SkippedEvent as JSON.
CREATE TABLE skipped_events (
    name TEXT NOT NULL,
    position INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    skipped TEXT NOT NULL,
    PRIMARY KEY (name, position, event_id)
) STRICT, WITHOUT ROWID;
