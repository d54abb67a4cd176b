-- Who is there to do work, so that shards are spread evenly. It is read once a heartbeat.
CREATE TABLE {schema}.workers (
    id uuid PRIMARY KEY,
    holder text NOT NULL,
    expires_at bigint NOT NULL
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0,
    autovacuum_vacuum_threshold = 200,
    autovacuum_analyze_scale_factor = 0,
    autovacuum_analyze_threshold = 5000
);
