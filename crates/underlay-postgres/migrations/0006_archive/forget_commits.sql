-- Removes at most `at_most` commits without events that were recorded before a time; how many it were.
-- The last commit stays: what comes after it is counted from there.
CREATE FUNCTION {schema}.forget_commits(before bigint, at_most bigint) RETURNS bigint
LANGUAGE plpgsql
SECURITY DEFINER
SET search_path = pg_catalog, {schema}, pg_temp
SET plan_cache_mode = force_generic_plan
SET enable_seqscan = off
SET enable_sort = off
AS $$
#variable_conflict use_column
DECLARE
    forgotten bigint;
BEGIN
    DELETE FROM commits
    WHERE sequence IN (
        SELECT c.sequence
        FROM commits AS c
        WHERE c.event_count = 0
            AND c.recorded_at < forget_commits.before
            AND c.sequence < (SELECT last.sequence FROM commits AS last ORDER BY last.sequence DESC LIMIT 1)
        ORDER BY c.recorded_at
        LIMIT forget_commits.at_most
    );
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;
