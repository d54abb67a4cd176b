-- Counts that work is begun, of shards that are still held by these terms; gives the shards that are lost. Arrays
-- run in parallel: of terms those that begin with `term`, and one entry for each piece, as those of `settle_work`.
CREATE FUNCTION {schema}.begin_work(
    term_shards smallint[],
    term_numbers bigint[],
    term_workers uuid[],
    begun_terms integer[],
    begun_places bigint[],
    times integer[],
    stamp bigint,
    seen_sequence bigint,
    seen_commit uuid
) RETURNS smallint[]
LANGUAGE plpgsql
SET search_path = pg_catalog, {schema}, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_bitmapscan = off
SET enable_hashjoin = off
SET enable_mergejoin = off
SET enable_sort = off
SET jit = off
SET lock_timeout = '30s'
AS $$
#variable_conflict use_column
DECLARE
    lost smallint[] := lost_shards(
        begin_work.term_shards,
        begin_work.term_numbers,
        begin_work.term_workers,
        begin_work.stamp,
        begin_work.seen_sequence,
        begin_work.seen_commit
    );
BEGIN
    UPDATE work AS w
    SET begun = found.begun
    FROM (
        SELECT there.row_id, begin_work.times[n] AS begun
        FROM generate_series(1, cardinality(begin_work.begun_places)) AS n
        CROSS JOIN LATERAL ready_row(
            begin_work.term_shards[begin_work.begun_terms[n]],
            begin_work.begun_places[n]
        ) AS there
        WHERE begin_work.term_shards[begin_work.begun_terms[n]] <> ALL (lost)
    ) AS found
    WHERE w.ctid = found.row_id;
    UPDATE work_later AS w
    SET begun = begin_work.times[n]
    FROM generate_series(1, cardinality(begin_work.begun_places)) AS n
    WHERE w.shard = begin_work.term_shards[begin_work.begun_terms[n]]
        AND w.place = begin_work.begun_places[n]
        AND w.shard <> ALL (lost);
    RETURN lost;
END
$$;
