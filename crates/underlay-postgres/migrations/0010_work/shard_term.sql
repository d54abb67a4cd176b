-- Who holds a shard, or held it last.
CREATE FUNCTION {schema}.shard_term(shard smallint) RETURNS SETOF {schema}.shard_terms
LANGUAGE sql
STABLE
ROWS 1
AS $$
    SELECT t.*
    FROM {schema}.shard_terms AS t
    WHERE t.shard = shard_term.shard
    ORDER BY t.move DESC
    LIMIT 1
$$;
