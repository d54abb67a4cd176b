-- One row: the scheduler of all workers that hold shards. Whoever renews or takes shards has locked it for sharing;
-- whoever changes it has locked it alone, and does so only while no shard is held.
CREATE TABLE {schema}.work_scheduler (
    one integer PRIMARY KEY DEFAULT 1 CHECK (one = 1),
    scheduler text NOT NULL DEFAULT 'embedded'
);

INSERT INTO {schema}.work_scheduler DEFAULT VALUES;
