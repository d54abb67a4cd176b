-- Who may do a piece of work at the moment. A row stays, so that terms only grow; times are
-- microseconds since 1970. `id` is of which acquisition a term is: where an older copy of the file comes
-- back, a term is given again.
CREATE TABLE leases (
    name TEXT PRIMARY KEY,
    holder TEXT NOT NULL,
    term INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    id BLOB NOT NULL
) STRICT, WITHOUT ROWID;
