-- What is applied. Whoever uses the store may read it, and so tells an older schema from a newer one.
CREATE TABLE {schema}.migrations (
    number integer PRIMARY KEY,
    name text NOT NULL,
    checksum bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE {schema}.migrations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY owned ON {schema}.migrations TO {owner} USING (true) WITH CHECK (true);
CREATE POLICY known ON {schema}.migrations FOR SELECT TO {reader}, {worker} USING (true);

GRANT USAGE ON SCHEMA {schema} TO {append}, {writer}, {reader}, {worker};
GRANT SELECT ON {schema}.migrations TO {reader}, {worker};
