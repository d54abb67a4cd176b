-- The generation of a view that was read before, at most one: it answers nothing, and can come back.
-- Its checkpoint and its rows stay where they are. `replaced_at` is microseconds since 1970.
CREATE TABLE {schema}.replaced_generations (
    name text COLLATE "C" PRIMARY KEY,
    generation integer NOT NULL,
    fingerprint bytea NOT NULL,
    definition json NOT NULL,
    replaced_at bigint NOT NULL
);
