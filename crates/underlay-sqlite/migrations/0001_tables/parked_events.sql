-- Events that a generation has passed over.
CREATE TABLE parked_events (
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    position INTEGER NOT NULL,
    tenant TEXT NOT NULL,
    stream TEXT NOT NULL,
    version INTEGER NOT NULL,
    event_id BLOB NOT NULL,
    reason TEXT NOT NULL,
    PRIMARY KEY (name, generation, position)
) STRICT, WITHOUT ROWID;
