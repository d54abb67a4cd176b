-- Who may do a piece of work at the moment. A row stays, so that terms only grow; times are
-- microseconds since 1970. `id` is of which acquisition a term is: where an older copy of the database
-- comes back, a term is given again.
CREATE TABLE {schema}.leases (
    name text COLLATE "C" PRIMARY KEY,
    holder text NOT NULL,
    term bigint NOT NULL,
    expires_at bigint NOT NULL,
    id uuid NOT NULL DEFAULT gen_random_uuid()
);
