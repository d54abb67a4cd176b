-- Gives every shard of a worker back, and counts it no more.
CREATE FUNCTION {schema}.leave_work(worker uuid) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, {schema}, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_sort = off
SET jit = off
SET lock_timeout = '30s'
AS $$
#variable_conflict use_column
DECLARE
    shards smallint[];
    terms bigint[];
BEGIN
    DELETE FROM workers AS w WHERE w.id = leave_work.worker;
    SELECT array_agg(s.shard), array_agg(held.term)
    INTO shards, terms
    FROM work_shards AS s
    CROSS JOIN LATERAL shard_term(s.shard) AS held
    WHERE held.worker = leave_work.worker;
    IF shards IS NOT NULL THEN
        PERFORM release_shards(shards, terms, array_fill(leave_work.worker, ARRAY[cardinality(shards)]));
    END IF;
END
$$;
