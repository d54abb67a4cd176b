-- Workers share the work. Which scheduler has it is no tenant's.
ALTER TABLE {schema}.work_scheduler ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY worked ON {schema}.work_scheduler TO {worker} USING (true) WITH CHECK (true);

GRANT SELECT, UPDATE ON {schema}.work_scheduler TO {worker};

REVOKE ALL ON FUNCTION {schema}.work_holder, {schema}.claim_work, {schema}.share_shards FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.work_holder, {schema}.claim_work, {schema}.share_shards TO {worker};
