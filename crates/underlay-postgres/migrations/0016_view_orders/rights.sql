-- Workers keep views. An order tells of the rows of all tenants.
ALTER TABLE {schema}.view_orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY worked ON {schema}.view_orders TO {worker} USING (true) WITH CHECK (true);

GRANT SELECT, INSERT, UPDATE ON {schema}.view_orders TO {worker};
