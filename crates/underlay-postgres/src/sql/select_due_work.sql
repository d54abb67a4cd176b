-- One row at least: the time of the look, and the next moment something is due that is not due yet. What holds
-- the line itself yields to a head of a lower place alone.
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
        AND due_at <= clock.now
        AND place <> ALL ($3)
    ORDER BY
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
