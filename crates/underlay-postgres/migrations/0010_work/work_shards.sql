-- The parts of all work. A row is locked by whoever settles work of the shard or gives it to another worker,
-- and never changed: it leaves no dead version behind. What is locked is locked in the order of shards.
CREATE TABLE {schema}.work_shards (
    shard smallint PRIMARY KEY
);

INSERT INTO {schema}.work_shards (shard)
SELECT n
FROM generate_series(0, 15) AS n;
