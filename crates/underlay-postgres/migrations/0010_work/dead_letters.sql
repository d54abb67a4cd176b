-- Work that was given up. A person replays or discards it. One that `holds` is a head of its line.
CREATE TABLE {schema}.dead_letters (
    LIKE {schema}.work INCLUDING CONSTRAINTS INCLUDING DEFAULTS,
    PRIMARY KEY (place),
    CHECK (died_at IS NOT NULL AND is_final IS NOT NULL)
);

CREATE INDEX dead_letters_by_id ON {schema}.dead_letters (work_id, tenant);

CREATE INDEX dead_letters_by_tenant ON {schema}.dead_letters (tenant, place);

CREATE INDEX dead_letters_heads ON {schema}.dead_letters (tenant, receiver, key, place) WHERE holds;
