-- One row: the identity of the log, drawn here, kept by dump and restore.
CREATE TABLE {schema}.store (
    one integer PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    created_at timestamptz NOT NULL DEFAULT now()
);

INSERT INTO {schema}.store DEFAULT VALUES;
