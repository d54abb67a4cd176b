-- Who holds a shard: the row of the highest `move`; those below it are on their way out. A heartbeat writes a
-- new row and removes the old one, and the index is read from its end: where dead rows cannot be cleaned away
-- for a time, nobody walks over them. At and below `urgent` and `normal` no work of that lane is ready. What is
-- at or below `suspects_to` may have been begun by a worker that did not give the shard back.
CREATE TABLE {schema}.shard_terms (
    shard smallint NOT NULL,
    move bigint NOT NULL,
    term bigint NOT NULL,
    worker uuid NOT NULL,
    holder text NOT NULL,
    expires_at bigint NOT NULL,
    urgent bigint NOT NULL,
    normal bigint NOT NULL,
    suspects_to bigint NOT NULL,
    PRIMARY KEY (shard, move)
) WITH (
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 500,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 5000
);
