-- The revisions of schedules that were removed: one of the same name goes on counting.
CREATE TABLE removed_schedules (
    tenant TEXT NOT NULL,
    name TEXT NOT NULL,
    revision INTEGER NOT NULL,
    PRIMARY KEY (tenant, name)
) STRICT, WITHOUT ROWID;
