-- How far those have come that follow the log and keep no rows. The checkpoint is the row of the highest `move`;
-- as in `view_checkpoints`, moving it writes a new row and removes the old one.
CREATE TABLE {schema}.checkpoints (
    name text COLLATE "C" NOT NULL,
    move bigint NOT NULL,
    store_id uuid NOT NULL,
    position bigint NOT NULL,
    event_id uuid,
    definition json NOT NULL,
    PRIMARY KEY (name, move)
);
