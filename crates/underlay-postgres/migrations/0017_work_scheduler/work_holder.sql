-- The name of a worker that holds a shard, if one does.
CREATE FUNCTION {schema}.work_holder(stamp bigint) RETURNS text
LANGUAGE sql
STABLE
AS $$
    SELECT held.holder
    FROM {schema}.work_shards AS s
    CROSS JOIN LATERAL {schema}.shard_term(s.shard) AS held
    WHERE held.expires_at > {schema}.time_now(work_holder.stamp)
    ORDER BY s.shard
    LIMIT 1
$$;
