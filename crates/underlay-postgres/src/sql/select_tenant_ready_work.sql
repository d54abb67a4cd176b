-- The tenant is asked for as a range, and the order begins with it, so that the one index that has this order
-- is walked, whatever the statistics say.
SELECT
    w.*,
    line.is_blocked
FROM (
    SELECT *
    FROM work
    WHERE shard = $1
        AND lane = $2
        AND tenant >= $3
        AND tenant <= $3
        AND place > $4
    ORDER BY
        tenant,
        place
    LIMIT $5
) AS w
CROSS JOIN LATERAL line_is_blocked(w.tenant, w.receiver, w.key, 9223372036854775807) AS line
ORDER BY
    w.tenant,
    w.place
