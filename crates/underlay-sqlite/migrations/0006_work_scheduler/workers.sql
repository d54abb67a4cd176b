-- What has the work of a worker done. Shards are spread evenly among the workers of one.
ALTER TABLE workers ADD COLUMN scheduler TEXT NOT NULL DEFAULT 'embedded';
