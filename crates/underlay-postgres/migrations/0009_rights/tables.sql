-- What each role may do with the tables.

GRANT SELECT ON {schema}.store TO {reader}, {worker};
GRANT SELECT, UPDATE ON {schema}.log_head TO {append};
GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.fences TO {append};
GRANT SELECT ON {schema}.fences TO {worker};

GRANT SELECT, INSERT ON {schema}.events, {schema}.commits TO {append};
GRANT SELECT ON {schema}.events, {schema}.commits TO {reader}, {worker};
GRANT UPDATE (message, body) ON {schema}.commits TO {worker};
GRANT DELETE ON {schema}.commits TO {append};

-- Not even the owner, until it gives itself the right; and then the triggers are there.
REVOKE UPDATE, DELETE, TRUNCATE ON {schema}.events FROM {owner};
REVOKE DELETE, TRUNCATE ON {schema}.commits FROM {owner};

GRANT SELECT, INSERT, UPDATE, DELETE
ON
    {schema}.views,
    {schema}.view_generations,
    {schema}.view_checkpoints,
    {schema}.replaced_generations,
    {schema}.discarded_generations,
    {schema}.parked_events,
    {schema}.leases
TO {worker};
GRANT SELECT ON {schema}.views, {schema}.view_generations TO {reader};
-- Not the event of a checkpoint: it may be another tenant's.
GRANT SELECT (name, generation, move, position) ON {schema}.view_checkpoints TO {reader};

GRANT SELECT, INSERT, UPDATE, DELETE ON {schema}.snapshots TO {writer};

GRANT USAGE ON SCHEMA {views} TO {reader};
GRANT USAGE, CREATE ON SCHEMA {views} TO {worker};
