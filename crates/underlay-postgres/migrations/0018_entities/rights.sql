-- Workers make the tables of entities, and see no row in them: rows are of their tenant, for readers and writers.
ALTER TABLE {schema}.entities ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY worked ON {schema}.entities TO {worker} USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE ON {schema}.entities TO {worker};

REVOKE ALL ON FUNCTION {schema}.expect_rows FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.expect_rows TO {writer};

GRANT USAGE ON SCHEMA {entities} TO {reader}, {writer};
GRANT USAGE, CREATE ON SCHEMA {entities} TO {worker};
