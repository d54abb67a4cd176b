-- What has the work of a worker done. Shards are spread evenly among the workers of one.
ALTER TABLE {schema}.workers ADD COLUMN scheduler text NOT NULL DEFAULT 'embedded';
