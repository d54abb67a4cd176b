-- Where a generation does not go on, and why. It counts as long as the generation is at `position`.
-- `stop` is a ViewStop as JSON.
CREATE TABLE view_stops (
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,
    position INTEGER NOT NULL,
    stop TEXT NOT NULL,
    PRIMARY KEY (name, generation)
) STRICT, WITHOUT ROWID;
