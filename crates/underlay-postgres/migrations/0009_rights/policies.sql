-- A reader sees the tenant it has named for its transaction, and none where it named none; a worker sees
-- all of them. `append` is the role of the functions that write the log.

CREATE POLICY known ON {schema}.store FOR SELECT TO {reader}, {worker} USING (true);
CREATE POLICY locked ON {schema}.log_head TO {append} USING (true) WITH CHECK (true);

CREATE POLICY raised ON {schema}.fences TO {append} USING (true) WITH CHECK (true);
-- Who looks up what became of a lost attempt sees in the same look that the attempt is void.
CREATE POLICY known ON {schema}.fences FOR SELECT TO {worker} USING (true);

CREATE POLICY appended ON {schema}.events FOR INSERT TO {append} WITH CHECK (true);
CREATE POLICY seen ON {schema}.events FOR SELECT TO {append}, {worker} USING (true);
CREATE POLICY of_tenant ON {schema}.events FOR SELECT TO {reader}
USING (tenant = current_setting('underlay.tenant', true));

CREATE POLICY appended ON {schema}.commits FOR INSERT TO {append} WITH CHECK (true);
CREATE POLICY seen ON {schema}.commits FOR SELECT TO {append}, {worker} USING (true);
CREATE POLICY forgotten ON {schema}.commits FOR UPDATE TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY forgotten_whole ON {schema}.commits FOR DELETE TO {append} USING (event_count = 0);
CREATE POLICY of_tenant ON {schema}.commits FOR SELECT TO {reader}
USING (tenant = current_setting('underlay.tenant', true));

CREATE POLICY worked ON {schema}.views TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY worked ON {schema}.view_generations TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY worked ON {schema}.view_checkpoints TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY worked ON {schema}.replaced_generations TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY worked ON {schema}.discarded_generations TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY worked ON {schema}.parked_events TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY worked ON {schema}.leases TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY known ON {schema}.views FOR SELECT TO {reader} USING (true);
CREATE POLICY known ON {schema}.view_generations FOR SELECT TO {reader} USING (true);
CREATE POLICY known ON {schema}.view_checkpoints FOR SELECT TO {reader} USING (true);

CREATE POLICY of_tenant ON {schema}.snapshots TO {writer}
USING (tenant = current_setting('underlay.tenant', true))
WITH CHECK (tenant = current_setting('underlay.tenant', true));
