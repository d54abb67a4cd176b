-- Who does the work of a shard at the moment. A row stays, so that terms only grow. Where an older copy of the
-- file comes back, a term is given again; the worker tells them apart. At or below a cursor no work of that
-- lane is ready. What is at or before `suspects_to` may have been begun by a worker that did not give the shard back.
CREATE TABLE work_shards (
    shard INTEGER PRIMARY KEY,
    term INTEGER NOT NULL,
    worker BLOB NOT NULL,
    holder TEXT NOT NULL,
    expires_at INTEGER NOT NULL,
    urgent_cursor INTEGER NOT NULL,
    normal_cursor INTEGER NOT NULL,
    suspects_to INTEGER NOT NULL DEFAULT 0
) STRICT;
