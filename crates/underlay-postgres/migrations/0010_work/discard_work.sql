-- Removes dead letters of a tenant, and lets go what stood behind them; how many they were.
CREATE FUNCTION {schema}.discard_work(tenant text, letters uuid[], stamp bigint) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, {schema}, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET jit = off
SET lock_timeout = '30s'
AS $$
#variable_conflict use_column
DECLARE
    discarded bigint;
    receivers text[];
    keys text[];
BEGIN
    PERFORM lock_lines(discard_work.tenant, discard_work.letters);
    WITH gone AS (
        DELETE FROM dead_letters AS d
        WHERE d.work_id = ANY (discard_work.letters) AND d.tenant = discard_work.tenant
        RETURNING d.receiver, d.key
    )
    SELECT count(*), array_agg(receiver), array_agg(key)
    INTO discarded, receivers, keys
    FROM gone;
    FOR n IN 1 .. discarded LOOP
        PERFORM release_line(discard_work.tenant, receivers[n], keys[n], time_now(discard_work.stamp));
    END LOOP;
    RETURN discarded;
END
$$;
