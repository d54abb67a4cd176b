-- One row at least: the time of the look, and the next moment something is due that is not due yet. So many rows as
-- $8 are looked at. The last of them comes along whether its tenant is passed over or not, and says how far it was;
-- `is_last` that nothing more is due. What holds the line itself yields to a head of a lower place alone.
SELECT
    w.*,
    line.is_blocked,
    w.following IS NULL AS is_last,
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
    FROM (
        SELECT
            *,
            row_number() OVER (ORDER BY due_at, place) AS scanned,
            lead(place) OVER (ORDER BY due_at, place) AS following
        FROM (
            SELECT *
            FROM work_later
            WHERE shard = $1
                AND (due_at, place) > ($5, $6)
                AND due_at <= clock.now
                AND place <> ALL ($3)
            ORDER BY
                due_at,
                place
            LIMIT $8 + 1
        ) AS walked
    ) AS seen
    WHERE seen.scanned <= $8
        AND (seen.scanned = $8 OR seen.following IS NULL OR seen.tenant <> ALL ($7))
    ORDER BY
        seen.due_at,
        seen.place
    LIMIT $4
) AS w ON true
CROSS JOIN LATERAL line_is_blocked(
    w.tenant,
    w.receiver,
    w.key,
    CASE WHEN w.holds THEN w.place ELSE 9223372036854775807 END
) AS line
