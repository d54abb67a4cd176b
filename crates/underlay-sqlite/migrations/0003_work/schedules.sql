-- What is due again and again. `next_due_at` is NULL where it never is again.
CREATE TABLE schedules (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    next_due_at INTEGER,
    revision INTEGER NOT NULL,
    definition TEXT NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT;

CREATE INDEX schedules_due ON schedules (next_due_at, tenant, name) WHERE next_due_at IS NOT NULL;
