SELECT w.*
FROM (
    SELECT
        ready.*,
        true AS is_ready
    FROM generate_series(0, $7 - 1) AS part (shard)
    CROSS JOIN generate_series(0, 1) AS half (lane)
    CROSS JOIN LATERAL (
        SELECT *
        FROM work
        WHERE shard = part.shard
            AND lane = half.lane
            AND tenant >= $1
            AND tenant <= $1
            AND place > $5
            AND ($2::text IS NULL OR kind = $2)
            AND ($3::text IS NULL OR receiver = $3)
            AND ($4::text IS NULL OR key = $4)
        ORDER BY
            tenant,
            place
        LIMIT $6
    ) AS ready
    UNION ALL
    SELECT
        later.*,
        false
    FROM (
        SELECT *
        FROM work_later
        WHERE tenant >= $1
            AND tenant <= $1
            AND place > $5
            AND ($2::text IS NULL OR kind = $2)
            AND ($3::text IS NULL OR receiver = $3)
            AND ($4::text IS NULL OR key = $4)
        ORDER BY
            tenant,
            place
        LIMIT $6
    ) AS later
) AS w
ORDER BY w.place
LIMIT $6
