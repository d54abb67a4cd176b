-- Writes who holds a shard, whose row in `work_shards` is locked.
CREATE FUNCTION {schema}.move_shard(held {schema}.shard_terms) RETURNS void
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    last bigint := (SELECT t.move FROM shard_term(held.shard) AS t);
BEGIN
    held.move := coalesce(last, 0) + 1;
    INSERT INTO shard_terms
    SELECT held.*;
    DELETE FROM shard_terms AS t
    WHERE t.shard = held.shard AND t.move = last;
END
$$;
