-- Tells that a worker is there, keeps its shards with the cursors it gives, and gives it free ones until it has
-- its part, counted among the workers of its scheduler. Where the work is with another scheduler it gets none, and is
-- told whom it waits for. `look_in` is how many microseconds it may be until the next shard of another could be free.
--
-- The worker's own shards are waited for. For a free one that somebody has locked it waits as long as whoever
-- settles or asks there may take; then it is looked at next time. So nobody waits in a circle, nor behind a
-- connection that fell silent.
CREATE FUNCTION {schema}.share_shards(
    worker uuid,
    holder text,
    scheduler text,
    span bigint,
    stamp bigint,
    cursor_shards smallint[],
    cursors_urgent bigint[],
    cursors_normal bigint[],
    seen_sequence bigint,
    seen_commit uuid,
    OUT shards smallint[],
    OUT terms bigint[],
    OUT urgent bigint[],
    OUT normal bigint[],
    OUT suspects bigint[],
    OUT part bigint,
    OUT look_in bigint,
    OUT waits_for text,
    OUT waits_for_holder text
)
LANGUAGE plpgsql
SET search_path = pg_catalog, {schema}, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_sort = off
SET jit = off
SET lock_timeout = '5s'
AS $$
#variable_conflict use_column
DECLARE
    -- Between two looks at a shard that is free, and that somebody else had locked.
    soon CONSTANT bigint := 100000;
    now bigint := time_now(share_shards.stamp);
    ends bigint;
    everyone bigint;
    rank bigint;
    there shard_terms;
    given integer;
    wanted smallint[];
    free smallint;
    is_locked boolean := false;
BEGIN
    DELETE FROM workers
    WHERE id = ANY (
        ARRAY(
            SELECT w.id
            FROM workers AS w
            WHERE w.expires_at <= now AND w.id <> share_shards.worker
            ORDER BY w.id
            FOR UPDATE SKIP LOCKED
        )
    );
    INSERT INTO workers AS mine (id, holder, scheduler, expires_at)
    VALUES (share_shards.worker, share_shards.holder, share_shards.scheduler, now + share_shards.span)
    ON CONFLICT (id) DO UPDATE SET
        holder = excluded.holder,
        scheduler = excluded.scheduler,
        expires_at = excluded.expires_at;
    SELECT claimed.*
    INTO share_shards.waits_for, share_shards.waits_for_holder
    FROM claim_work(share_shards.scheduler, share_shards.stamp) AS claimed;
    IF share_shards.waits_for IS NOT NULL THEN
        share_shards.part := 0;
        SELECT min(held.expires_at) - now
        INTO share_shards.look_in
        FROM work_shards AS s
        CROSS JOIN LATERAL shard_term(s.shard) AS held
        WHERE held.expires_at > now;
        RETURN;
    END IF;
    SELECT array_agg(s.shard ORDER BY s.shard)
    INTO wanted
    FROM work_shards AS s
    CROSS JOIN LATERAL shard_term(s.shard) AS held
    WHERE held.worker = share_shards.worker;
    PERFORM FROM work_shards AS s WHERE s.shard = ANY (wanted) ORDER BY s.shard FOR UPDATE;
    PERFORM check_work_log(share_shards.seen_sequence, share_shards.seen_commit);
    -- After the wait for the locks.
    now := time_now(share_shards.stamp);
    ends := now + share_shards.span;
    SELECT
        count(*),
        count(*) FILTER (WHERE w.id < share_shards.worker)
    INTO everyone, rank
    FROM workers AS w
    WHERE w.scheduler = share_shards.scheduler AND (w.expires_at > now OR w.id = share_shards.worker);
    SELECT count(*) / everyone + CASE WHEN rank < count(*) % everyone THEN 1 ELSE 0 END
    INTO share_shards.part
    FROM work_shards;
    FOR there IN
        SELECT held.*
        FROM work_shards AS s
        CROSS JOIN LATERAL shard_term(s.shard) AS held
        WHERE s.shard = ANY (wanted) AND held.worker = share_shards.worker AND held.expires_at > now
        ORDER BY s.shard
    LOOP
        given := array_position(share_shards.cursor_shards, there.shard);
        IF given IS NOT NULL THEN
            there.urgent := share_shards.cursors_urgent[given];
            there.normal := share_shards.cursors_normal[given];
        END IF;
        there.holder := share_shards.holder;
        there.expires_at := ends;
        PERFORM move_shard(there);
        share_shards.shards := share_shards.shards || there.shard;
        share_shards.terms := share_shards.terms || there.term;
        share_shards.urgent := share_shards.urgent || there.urgent;
        share_shards.normal := share_shards.normal || there.normal;
        share_shards.suspects := share_shards.suspects || there.suspects_to;
    END LOOP;
    wanted := ARRAY(
        SELECT s.shard
        FROM work_shards AS s
        LEFT JOIN LATERAL shard_term(s.shard) AS held ON true
        WHERE coalesce(held.expires_at, 0) <= now
        ORDER BY s.shard
    );
    SET LOCAL lock_timeout = '200ms';
    FOREACH free IN ARRAY wanted LOOP
        EXIT WHEN coalesce(cardinality(share_shards.shards), 0) >= share_shards.part;
        BEGIN
            PERFORM FROM work_shards AS s WHERE s.shard = free FOR UPDATE;
        EXCEPTION WHEN lock_not_available THEN
            is_locked := true;
            CONTINUE;
        END;
        SELECT t.*
        INTO there
        FROM shard_term(free) AS t;
        -- Somebody may have taken it before it was locked.
        CONTINUE WHEN there.expires_at > now;
        there.suspects_to := coalesce(there.suspects_to, 0);
        -- Whoever gave it back had ended what it began, and whoever comes back is not gone.
        IF there.expires_at > 0 AND there.worker <> share_shards.worker THEN
            there.suspects_to := greatest(
                there.suspects_to,
                (SELECT c.sequence FROM commits AS c ORDER BY c.sequence DESC LIMIT 1) * 1024 + 1023
            );
        END IF;
        there.shard := free;
        there.term := coalesce(there.term, 0) + 1;
        there.worker := share_shards.worker;
        there.holder := share_shards.holder;
        there.expires_at := ends;
        there.urgent := coalesce(there.urgent, 0);
        there.normal := coalesce(there.normal, 0);
        PERFORM move_shard(there);
        share_shards.shards := share_shards.shards || there.shard;
        share_shards.terms := share_shards.terms || there.term;
        share_shards.urgent := share_shards.urgent || there.urgent;
        share_shards.normal := share_shards.normal || there.normal;
        share_shards.suspects := share_shards.suspects || there.suspects_to;
    END LOOP;
    SELECT min(held.expires_at) - now
    INTO share_shards.look_in
    FROM work_shards AS s
    CROSS JOIN LATERAL shard_term(s.shard) AS held
    WHERE held.worker <> share_shards.worker AND held.expires_at > now;
    IF is_locked THEN
        share_shards.look_in := least(share_shards.look_in, soon);
    END IF;
END
$$;
