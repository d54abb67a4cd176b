-- Work that is not due yet, is tried again, or stands behind another of its key. A row that `holds` blocks its
-- line, which is a tenant's work for a receiver and a key: with `due_at` it is a head, which is due then, and
-- without it stands behind one. A line with rows that hold has a head, here or in `dead_letters`.
CREATE TABLE {schema}.work_later (
    LIKE {schema}.work INCLUDING CONSTRAINTS INCLUDING DEFAULTS,
    PRIMARY KEY (shard, place)
) WITH (
    autovacuum_vacuum_scale_factor = 0.02,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_insert_scale_factor = 1
);

CREATE INDEX work_later_due ON {schema}.work_later (shard, due_at, place) WHERE due_at IS NOT NULL;

-- What a tenant has that is due, however much of others is due before it.
CREATE INDEX work_later_due_of_tenant ON {schema}.work_later (shard, tenant, due_at, place)
WHERE due_at IS NOT NULL;

-- Two indexes, so that a look for the head of a line passes over none that stands behind it.
CREATE INDEX work_later_heads ON {schema}.work_later (tenant, receiver, key, place)
WHERE holds AND due_at IS NOT NULL;

CREATE INDEX work_later_behind ON {schema}.work_later (tenant, receiver, key, place)
WHERE holds AND due_at IS NULL;

CREATE INDEX work_later_by_tenant ON {schema}.work_later (tenant, place);
