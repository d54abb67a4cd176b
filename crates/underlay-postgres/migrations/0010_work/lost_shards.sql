-- Locks shards, and gives those of them that are not held by these terms.
CREATE FUNCTION {schema}.lost_shards(
    term_shards smallint[],
    term_numbers bigint[],
    term_workers uuid[],
    stamp bigint,
    seen_sequence bigint,
    seen_commit uuid
) RETURNS smallint[]
LANGUAGE plpgsql
AS $$
#variable_conflict use_column
DECLARE
    now bigint;
BEGIN
    PERFORM FROM work_shards AS s WHERE s.shard = ANY (lost_shards.term_shards) ORDER BY s.shard FOR UPDATE;
    PERFORM check_work_log(lost_shards.seen_sequence, lost_shards.seen_commit);
    -- After the wait for the locks.
    now := time_now(lost_shards.stamp);
    RETURN ARRAY(
        SELECT lost_shards.term_shards[n]
        FROM generate_series(1, cardinality(lost_shards.term_shards)) AS n
        LEFT JOIN LATERAL shard_term(lost_shards.term_shards[n]) AS held ON true
        WHERE (
            held.term = lost_shards.term_numbers[n]
            AND held.worker = lost_shards.term_workers[n]
            AND held.expires_at > now
        ) IS NOT TRUE
    );
END
$$;
