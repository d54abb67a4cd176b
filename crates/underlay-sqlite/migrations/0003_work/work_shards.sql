-- Who does the work of a shard at the moment. A row stays, so that terms only grow. Where an older copy of the
-- file comes back, a term is given again; the worker tells them apart. At or below a cursor no work of that
-- lane is ready.
CREATE TABLE work_shards (
    shard INTEGER PRIMARY KEY,
    term INTEGER NOT NULL,
    worker BLOB NOT NULL,
    holder TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    urgent_cursor INTEGER NOT NULL,
    normal_cursor INTEGER NOT NULL
) STRICT;
