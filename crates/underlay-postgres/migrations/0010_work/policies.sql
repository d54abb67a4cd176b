-- Functions of the log send work on, workers do it, and a reader sees that of the tenant it has named.

CREATE POLICY sent ON {schema}.work FOR INSERT TO {append} WITH CHECK (true);
CREATE POLICY seen ON {schema}.work FOR SELECT TO {append} USING (true);
CREATE POLICY worked ON {schema}.work TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY of_tenant ON {schema}.work FOR SELECT TO {reader}
USING (
    tenant >= current_setting('underlay.tenant', true)
    AND tenant <= current_setting('underlay.tenant', true)
);

CREATE POLICY sent ON {schema}.work_later FOR INSERT TO {append} WITH CHECK (true);
CREATE POLICY seen ON {schema}.work_later FOR SELECT TO {append} USING (true);
CREATE POLICY worked ON {schema}.work_later TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY of_tenant ON {schema}.work_later FOR SELECT TO {reader}
USING (
    tenant >= current_setting('underlay.tenant', true)
    AND tenant <= current_setting('underlay.tenant', true)
);

CREATE POLICY seen ON {schema}.dead_letters FOR SELECT TO {append} USING (true);
CREATE POLICY worked ON {schema}.dead_letters TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY of_tenant ON {schema}.dead_letters FOR SELECT TO {reader}
USING (
    tenant >= current_setting('underlay.tenant', true)
    AND tenant <= current_setting('underlay.tenant', true)
);

CREATE POLICY seen ON {schema}.work_shards FOR SELECT TO {append} USING (true);
CREATE POLICY worked ON {schema}.work_shards TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY worked ON {schema}.shard_terms TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY worked ON {schema}.workers TO {worker} USING (true) WITH CHECK (true);
