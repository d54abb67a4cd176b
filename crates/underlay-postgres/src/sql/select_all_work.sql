SELECT w.*
FROM (
    SELECT
        ready.*,
        true AS is_ready
    FROM generate_series(0, $6 - 1) AS part (shard)
    CROSS JOIN generate_series(0, 1) AS half (lane)
    CROSS JOIN LATERAL (
        SELECT *
        FROM work
        WHERE shard = part.shard
            AND lane = half.lane
            AND place > $4
            AND ($1::text IS NULL OR kind = $1)
            AND ($2::text IS NULL OR receiver = $2)
            AND ($3::text IS NULL OR key = $3)
        ORDER BY
            shard,
            lane,
            place
        LIMIT $5
    ) AS ready
    UNION ALL
    SELECT
        later.*,
        false
    FROM generate_series(0, $6 - 1) AS part (shard)
    CROSS JOIN LATERAL (
        SELECT *
        FROM work_later
        WHERE shard = part.shard
            AND place > $4
            AND ($1::text IS NULL OR kind = $1)
            AND ($2::text IS NULL OR receiver = $2)
            AND ($3::text IS NULL OR key = $3)
        ORDER BY
            shard,
            place
        LIMIT $5
    ) AS later
) AS w
ORDER BY w.place
LIMIT $5
