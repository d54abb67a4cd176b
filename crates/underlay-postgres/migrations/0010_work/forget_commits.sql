-- As it was, and keeps a commit as long as there is work that it sent on: a repeat would send that once more.
-- It keeps a cancellation for ever: the command that was cancelled may be due later.
-- It is replaced by the role that owns it.
GRANT CREATE ON SCHEMA {schema} TO {append};
SET LOCAL ROLE {append};

CREATE OR REPLACE FUNCTION {schema}.forget_commits(before bigint, at_most bigint) RETURNS bigint
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
            AND c.code IS DISTINCT FROM 'underlay:cancelled'
            AND c.sequence < (SELECT last.sequence FROM commits AS last ORDER BY last.sequence DESC LIMIT 1)
            AND (
                SELECT true
                FROM work_shards AS s
                CROSS JOIN generate_series(0, 1) AS part (lane)
                CROSS JOIN LATERAL (
                    SELECT
                    FROM work AS w
                    WHERE w.shard = s.shard
                        AND w.lane = part.lane
                        AND w.place >= c.sequence * 1024
                        AND w.place < (c.sequence + 1) * 1024
                    ORDER BY w.place
                    LIMIT 1
                ) AS there
                LIMIT 1
            ) IS NULL
            AND (
                SELECT true
                FROM work_shards AS s
                CROSS JOIN LATERAL (
                    SELECT
                    FROM work_later AS w
                    WHERE w.shard = s.shard
                        AND w.place >= c.sequence * 1024
                        AND w.place < (c.sequence + 1) * 1024
                    ORDER BY w.place
                    LIMIT 1
                ) AS there
                LIMIT 1
            ) IS NULL
            AND (
                SELECT true
                FROM dead_letters AS w
                WHERE w.place >= c.sequence * 1024 AND w.place < (c.sequence + 1) * 1024
                ORDER BY w.place
                LIMIT 1
            ) IS NULL
        ORDER BY c.recorded_at
        LIMIT forget_commits.at_most
    );
    GET DIAGNOSTICS forgotten = ROW_COUNT;
    RETURN forgotten;
END
$$;

SET LOCAL ROLE {owner};
REVOKE CREATE ON SCHEMA {schema} FROM {append};
