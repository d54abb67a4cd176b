-- Where the ready piece of a shard is that stands at a place. The place is looked for as a range in its order, so
-- that the one index that has this order is searched, whatever the statistics say.
CREATE FUNCTION {schema}.ready_row(shard smallint, place bigint) RETURNS TABLE (row_id tid)
LANGUAGE sql
STABLE
ROWS 1
AS $$
    SELECT there.row_id
    FROM generate_series(0, 1) AS part (lane)
    CROSS JOIN LATERAL (
        SELECT w.ctid AS row_id
        FROM {schema}.work AS w
        WHERE w.shard = ready_row.shard
            AND w.lane = part.lane
            AND w.place BETWEEN ready_row.place AND ready_row.place
        ORDER BY w.place
        LIMIT 1
    ) AS there
$$;
