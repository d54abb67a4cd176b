-- Workers follow the log.
ALTER TABLE {schema}.checkpoints ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY worked ON {schema}.checkpoints TO {worker} USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, DELETE ON {schema}.checkpoints TO {worker};

REVOKE ALL ON FUNCTION {schema}.move_subscription FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.move_subscription TO {worker};
