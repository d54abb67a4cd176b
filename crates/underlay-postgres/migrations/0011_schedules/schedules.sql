-- What is due again and again. The row of one that was removed stays, so that its revision goes on counting.
-- `next_due_at` is microseconds since 1970.
CREATE TABLE {schema}.schedules (
    tenant text COLLATE "C" NOT NULL CHECK (tenant <> ''),
    name text COLLATE "C" NOT NULL,
    revision bigint NOT NULL,
    next_due_at bigint,
    is_removed boolean NOT NULL DEFAULT false,
    definition json NOT NULL,
    PRIMARY KEY (tenant, name)
);

CREATE INDEX schedules_due ON {schema}.schedules (next_due_at, tenant, name) WHERE next_due_at IS NOT NULL;
