-- Gives shards back, of those that are still held by these terms.
CREATE FUNCTION {schema}.release_shards(
    shards smallint[],
    terms bigint[],
    workers uuid[]
) RETURNS void
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
    there shard_terms;
BEGIN
    PERFORM FROM work_shards AS s WHERE s.shard = ANY (release_shards.shards) ORDER BY s.shard FOR UPDATE;
    FOR there IN
        SELECT held.*
        FROM generate_series(1, cardinality(release_shards.shards)) AS n
        CROSS JOIN LATERAL shard_term(release_shards.shards[n]) AS held
        WHERE held.term = release_shards.terms[n] AND held.worker = release_shards.workers[n]
    LOOP
        -- Kept, so that the next worker has a higher term, and begins where this one was.
        there.expires_at := 0;
        PERFORM move_shard(there);
    END LOOP;
END
$$;
