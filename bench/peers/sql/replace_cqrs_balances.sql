-- As its documentation gives it.
DO $$
BEGIN
    DROP TABLE IF EXISTS balances;
    CREATE TABLE balances (
        view_id text NOT NULL,
        version bigint NOT NULL CHECK (version >= 0),
        payload json NOT NULL,
        PRIMARY KEY (view_id)
    );
END
$$
