-- Locks the shards that dead letters of a tenant belong to.
CREATE FUNCTION {schema}.lock_lines(tenant text, letters uuid[]) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    shards smallint[] := ARRAY(
        SELECT d.shard
        FROM dead_letters AS d
        WHERE d.work_id = ANY (lock_lines.letters) AND d.tenant = lock_lines.tenant
    );
BEGIN
    PERFORM FROM work_shards AS s WHERE s.shard = ANY (shards) ORDER BY s.shard FOR UPDATE;
END
$$;
