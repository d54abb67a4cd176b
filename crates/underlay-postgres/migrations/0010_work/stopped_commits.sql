-- Which commits are not stored because of the ones they name: numbers from 1, NULL where all go on.
--
-- Arrays run in parallel: `naming` are the numbers of the commits that name another, `named` the ids they name, and
-- `yields` whether the other makes them needless. Another one with other content stops a commit, and so does any that
-- it yields to. The log is locked first, so that this is still true when the batch is stored.
CREATE FUNCTION {schema}.stopped_commits(
    commit_tenants text[],
    commit_fingerprints bytea[],
    naming integer[],
    named uuid[],
    yields boolean[]
) RETURNS integer[]
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, {schema}, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_sort = off
SET jit = off
SET lock_timeout = '30s'
AS $$
BEGIN
    -- A log without this row is refused by whoever writes it.
    PERFORM FROM log_head WHERE one = 1 FOR UPDATE;
    RETURN (
        SELECT array_agg(stopped_commits.naming[n])
        FROM generate_series(1, cardinality(stopped_commits.naming)) AS n
        CROSS JOIN LATERAL (
            SELECT commits.fingerprint
            FROM commits
            WHERE commits.tenant = stopped_commits.commit_tenants[stopped_commits.naming[n]]
                AND commits.commit_id = stopped_commits.named[n]
            LIMIT 1
        ) AS there
        WHERE stopped_commits.yields[n]
            OR there.fingerprint <> stopped_commits.commit_fingerprints[stopped_commits.naming[n]]
    );
END
$$;
