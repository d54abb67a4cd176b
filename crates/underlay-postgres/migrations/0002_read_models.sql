-- The catalogue of views. The rows of a generation are in a table of the schema for views, made by
-- the worker that folds it.

CREATE TABLE {schema}.views (
    name text COLLATE "C" PRIMARY KEY,
    generation integer NOT NULL
);

-- `definition` is the schema of the view as JSON. A row is locked, never changed, by who moves its
-- checkpoint.
CREATE TABLE {schema}.view_generations (
    name text COLLATE "C" NOT NULL,
    generation integer NOT NULL,
    fingerprint bytea NOT NULL,
    definition json NOT NULL,
    PRIMARY KEY (name, generation)
);

-- The checkpoint is the row of the highest `move`; those below it are on their way out. Moving it
-- writes a new row and removes the old one, and the index is read from its end: where dead rows
-- cannot be cleaned away for a time, nobody walks over them.
CREATE TABLE {schema}.view_checkpoints (
    name text COLLATE "C" NOT NULL,
    generation integer NOT NULL,
    move bigint NOT NULL,
    store_id uuid NOT NULL,
    position bigint NOT NULL,
    event_id uuid,
    PRIMARY KEY (name, generation, move)
);

-- Who may do a piece of work at the moment. A row stays, so that terms only grow; times are
-- microseconds since 1970.
CREATE TABLE {schema}.leases (
    name text COLLATE "C" PRIMARY KEY,
    holder text NOT NULL,
    term bigint NOT NULL,
    expires_at bigint NOT NULL
);

-- The time by the clock of the server, or the one that is given.
CREATE FUNCTION {schema}.time_now(stamp bigint) RETURNS bigint
LANGUAGE sql
AS $$
    SELECT coalesce(stamp, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
$$;

-- Moves the checkpoint of a generation from one place to the next, inside the transaction that
-- writes its rows. The lease is asked for only where one is named.
CREATE FUNCTION {schema}.move_checkpoint(
    view text,
    generation integer,
    fingerprint bytea,
    from_store uuid,
    from_position bigint,
    from_event uuid,
    to_store uuid,
    to_position bigint,
    to_event uuid,
    lease text,
    lease_term bigint,
    stamp bigint
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, {schema}, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
AS $$
#variable_conflict use_column
DECLARE
    there record;
BEGIN
    PERFORM
    FROM view_generations AS g
    WHERE g.name = move_checkpoint.view
        AND g.generation = move_checkpoint.generation
        AND g.fingerprint = move_checkpoint.fingerprint
    FOR UPDATE;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'there is no such generation' USING ERRCODE = 'UL002';
    END IF;
    IF move_checkpoint.lease IS NOT NULL THEN
        PERFORM
        FROM leases AS l
        WHERE l.name = move_checkpoint.lease
            AND l.term = move_checkpoint.lease_term
            AND l.expires_at > time_now(move_checkpoint.stamp)
        FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the lease is lost' USING ERRCODE = 'UL004';
        END IF;
    END IF;
    SELECT c.move, c.store_id, c.position, c.event_id
    INTO there
    FROM view_checkpoints AS c
    WHERE c.name = move_checkpoint.view AND c.generation = move_checkpoint.generation
    ORDER BY c.move DESC
    LIMIT 1;
    IF there.store_id IS DISTINCT FROM move_checkpoint.from_store
        OR there.position IS DISTINCT FROM move_checkpoint.from_position
        OR there.event_id IS DISTINCT FROM move_checkpoint.from_event
    THEN
        RAISE EXCEPTION 'the checkpoint has moved' USING ERRCODE = 'UL003';
    END IF;
    INSERT INTO view_checkpoints (name, generation, move, store_id, position, event_id)
    VALUES (
        move_checkpoint.view,
        move_checkpoint.generation,
        there.move + 1,
        move_checkpoint.to_store,
        move_checkpoint.to_position,
        move_checkpoint.to_event
    );
    DELETE FROM view_checkpoints AS c
    WHERE c.name = move_checkpoint.view
        AND c.generation = move_checkpoint.generation
        AND c.move = there.move;
END
$$;

ALTER TABLE {schema}.views ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE {schema}.view_generations ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE {schema}.view_checkpoints ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE {schema}.leases ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;

CREATE POLICY worked ON {schema}.views TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY worked ON {schema}.view_generations TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY worked ON {schema}.view_checkpoints TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY worked ON {schema}.leases TO {worker} USING (true) WITH CHECK (true);
CREATE POLICY known ON {schema}.views FOR SELECT TO {reader} USING (true);
CREATE POLICY known ON {schema}.view_generations FOR SELECT TO {reader} USING (true);
CREATE POLICY known ON {schema}.view_checkpoints FOR SELECT TO {reader} USING (true);

GRANT SELECT, INSERT, UPDATE, DELETE
ON {schema}.views, {schema}.view_generations, {schema}.view_checkpoints, {schema}.leases
TO {worker};
GRANT SELECT ON {schema}.views, {schema}.view_generations TO {reader};
-- Not the event of a checkpoint: it may be another tenant's.
GRANT SELECT (name, generation, move, position) ON {schema}.view_checkpoints TO {reader};

REVOKE ALL ON FUNCTION {schema}.move_checkpoint, {schema}.time_now FROM PUBLIC;
GRANT EXECUTE ON FUNCTION {schema}.move_checkpoint, {schema}.time_now TO {worker};

GRANT USAGE ON SCHEMA {views} TO {reader};
GRANT USAGE, CREATE ON SCHEMA {views} TO {worker};
