-- The checkpoint is the row of the highest `move`; those below it are on their way out. Moving it
-- writes a new row and removes the old one, and the index is read from its end: where dead rows
-- cannot be cleaned away for a time, nobody walks over them.
CREATE TABLE {schema}.view_checkpoints (
    name text COLLATE "C" NOT NULL,
    generation integer NOT NULL,
    move bigint NOT NULL,
    store_id uuid NOT NULL,
    position bigint NOT NULL,
    event_id uuid,
    PRIMARY KEY (name, generation, move)
);
