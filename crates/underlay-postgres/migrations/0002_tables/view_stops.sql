-- Where a generation does not go on, and why. It counts as long as the generation is at `position`.
-- `stop` is a ViewStop as JSON.
CREATE TABLE {schema}.view_stops (
    name text COLLATE "C" NOT NULL,
    generation integer NOT NULL,
    position bigint NOT NULL,
    stop json NOT NULL,
    PRIMARY KEY (name, generation)
);
