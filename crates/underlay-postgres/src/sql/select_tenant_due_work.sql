-- As `select_due_work`, of one tenant. The order begins with the tenant, so that the one index that has this order
-- is walked, whatever the statistics say.
SELECT
    w.*,
    line.is_blocked,
    clock.now,
    next.due_at AS next_due_at
FROM (
    SELECT time_now($2) AS now
) AS clock
LEFT JOIN LATERAL (
    SELECT due_at
    FROM work_later
    WHERE shard = $1
        AND due_at > clock.now
        AND place <> ALL ($3)
    ORDER BY
        due_at,
        place
    LIMIT 1
) AS next ON true
LEFT JOIN LATERAL (
    SELECT *
    FROM work_later
    WHERE shard = $1
        AND (tenant, due_at, place) > ($7, $5, $6)
        AND tenant <= $7
        AND due_at <= clock.now
        AND place <> ALL ($3)
    ORDER BY
        tenant,
        due_at,
        place
    LIMIT $4
) AS w ON true
CROSS JOIN LATERAL line_is_blocked(
    w.tenant,
    w.receiver,
    w.key,
    CASE WHEN w.holds THEN w.place ELSE 9223372036854775807 END
) AS line
