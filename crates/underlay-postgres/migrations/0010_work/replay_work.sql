-- Makes dead letters of a tenant heads of their lines, due at once; how many they were.
CREATE FUNCTION {schema}.replay_work(tenant text, letters uuid[], stamp bigint) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, {schema}, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET jit = off
SET lock_timeout = '30s'
AS $$
#variable_conflict use_column
DECLARE
    replayed bigint;
BEGIN
    PERFORM lock_lines(replay_work.tenant, replay_work.letters);
    WITH taken AS (
        DELETE FROM dead_letters AS d
        WHERE d.work_id = ANY (replay_work.letters) AND d.tenant = replay_work.tenant
        RETURNING d.*
    )
    INSERT INTO work_later (
        place,
        sent_at,
        version,
        work_id,
        commit_id,
        shard,
        lane,
        tenant,
        kind,
        receiver,
        key,
        name,
        encoding,
        key_id,
        metadata,
        payload,
        last_error,
        due_at,
        holds
    )
    SELECT
        place,
        sent_at,
        version,
        work_id,
        commit_id,
        shard,
        lane,
        tenant,
        kind,
        receiver,
        key,
        name,
        encoding,
        key_id,
        metadata,
        payload,
        last_error,
        time_now(replay_work.stamp),
        true
    FROM taken;
    GET DIAGNOSTICS replayed = ROW_COUNT;
    RETURN replayed;
END
$$;
