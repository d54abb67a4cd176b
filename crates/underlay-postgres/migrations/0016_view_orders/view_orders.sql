-- What was last ordered of a view, and what has become of it. `body` is the engine's: no statement reads it.
CREATE TABLE {schema}.view_orders (
    name text COLLATE "C" PRIMARY KEY,
    number bigint NOT NULL,
    body json NOT NULL
);
