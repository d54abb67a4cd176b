-- A tenant's schedules are put and removed in its name, and moved on by whoever submits what is due.
ALTER TABLE {schema}.schedules ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY of_tenant ON {schema}.schedules TO {writer}
USING (tenant = current_setting('underlay.tenant', true))
WITH CHECK (tenant = current_setting('underlay.tenant', true));
CREATE POLICY seen_by_tenant ON {schema}.schedules FOR SELECT TO {reader}
USING (tenant = current_setting('underlay.tenant', true));
CREATE POLICY worked ON {schema}.schedules TO {worker} USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE ON {schema}.schedules TO {writer};
GRANT SELECT ON {schema}.schedules TO {reader};
GRANT SELECT, UPDATE ON {schema}.schedules TO {worker};

REVOKE ALL ON FUNCTION {schema}.put_schedule FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.put_schedule TO {writer};
