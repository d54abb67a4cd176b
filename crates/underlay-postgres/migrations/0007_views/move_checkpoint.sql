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
    stamp bigint,
    lease_id uuid DEFAULT NULL
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
            -- A program that is older than this names none.
            AND l.id = coalesce(move_checkpoint.lease_id, l.id)
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
