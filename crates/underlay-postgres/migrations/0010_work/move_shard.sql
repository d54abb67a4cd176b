-- Writes who holds a shard, whose row in `work_shards` is locked.
CREATE FUNCTION {schema}.move_shard(
    shard smallint,
    term bigint,
    worker uuid,
    holder text,
    expires_at bigint,
    urgent bigint,
    normal bigint
) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    last bigint;
BEGIN
    SELECT t.move
    INTO last
    FROM shard_terms AS t
    WHERE t.shard = move_shard.shard
    ORDER BY t.move DESC
    LIMIT 1;
    INSERT INTO shard_terms (shard, move, term, worker, holder, expires_at, urgent, normal)
    VALUES (
        move_shard.shard,
        coalesce(last, 0) + 1,
        move_shard.term,
        move_shard.worker,
        move_shard.holder,
        move_shard.expires_at,
        move_shard.urgent,
        move_shard.normal
    );
    DELETE FROM shard_terms AS t
    WHERE t.shard = move_shard.shard AND t.move = last;
END
$$;
