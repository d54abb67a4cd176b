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
    piece dead_letters;
    replayed bigint := 0;
BEGIN
    PERFORM lock_lines(replay_work.tenant, replay_work.letters);
    FOR piece IN
        DELETE FROM dead_letters AS d
        WHERE d.work_id = ANY (replay_work.letters) AND d.tenant = replay_work.tenant
        RETURNING d.*
    LOOP
        piece.due_at := time_now(replay_work.stamp);
        piece.died_at := NULL;
        piece.attempts := 0;
        piece.begun := 0;
        piece.is_final := NULL;
        piece.holds := true;
        INSERT INTO work_later
        SELECT piece.*;
        replayed := replayed + 1;
    END LOOP;
    RETURN replayed;
END
$$;
