-- Moves the checkpoint of a subscription from one place to the next; `from_store` is NULL where there was none.
-- The lease is asked for only where one is named.
CREATE FUNCTION {schema}.move_subscription(
    name text,
    from_store uuid,
    from_position bigint,
    from_event uuid,
    to_store uuid,
    to_position bigint,
    to_event uuid,
    definition text,
    lease text,
    lease_term bigint,
    lease_id uuid,
    stamp bigint
) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, {schema}, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET lock_timeout = '30s'
AS $$
#variable_conflict use_column
DECLARE
    there record;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('{schema}.checkpoints ' || move_subscription.name, 0));
    IF move_subscription.lease IS NOT NULL THEN
        PERFORM
        FROM leases AS l
        WHERE l.name = move_subscription.lease
            AND l.term = move_subscription.lease_term
            AND l.id = move_subscription.lease_id
            AND l.expires_at > time_now(move_subscription.stamp)
        FOR SHARE;
        IF NOT FOUND THEN
            RAISE EXCEPTION 'the lease is lost' USING ERRCODE = 'UL004';
        END IF;
    END IF;
    SELECT c.move, c.store_id, c.position, c.event_id
    INTO there
    FROM checkpoints AS c
    WHERE c.name = move_subscription.name
    ORDER BY c.move DESC
    LIMIT 1;
    IF there.store_id IS DISTINCT FROM move_subscription.from_store
        OR there.position IS DISTINCT FROM move_subscription.from_position
        OR there.event_id IS DISTINCT FROM move_subscription.from_event
    THEN
        RAISE EXCEPTION 'the checkpoint has moved' USING ERRCODE = 'UL003';
    END IF;
    INSERT INTO checkpoints (name, move, store_id, position, event_id, definition)
    VALUES (
        move_subscription.name,
        coalesce(there.move, 0) + 1,
        move_subscription.to_store,
        move_subscription.to_position,
        move_subscription.to_event,
        move_subscription.definition::json
    );
    DELETE FROM checkpoints AS c
    WHERE c.name = move_subscription.name AND c.move = there.move;
END
$$;
