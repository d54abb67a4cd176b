-- One row: the scheduler of all workers that hold shards. It changes only while no shard is held.
CREATE TABLE work_scheduler (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    scheduler TEXT NOT NULL
) STRICT;

INSERT INTO work_scheduler VALUES (1, 'embedded');
