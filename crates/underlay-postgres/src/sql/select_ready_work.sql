-- So many rows as $6 are looked at. The last of them comes along whether its tenant is passed over or not, and
-- says how far it was; `is_last` that nothing follows it.
SELECT
    w.*,
    line.is_blocked,
    w.next IS NULL AS is_last
FROM (
    SELECT
        *,
        row_number() OVER (ORDER BY place) AS scanned,
        lead(place) OVER (ORDER BY place) AS next
    FROM (
        SELECT *
        FROM work
        WHERE shard = $1
            AND lane = $2
            AND place > $3
        ORDER BY
            shard,
            lane,
            place
        LIMIT $6 + 1
    ) AS walked
) AS w
CROSS JOIN LATERAL line_is_blocked(w.tenant, w.receiver, w.key, 9223372036854775807) AS line
WHERE w.scanned <= $6
    AND (w.scanned = $6 OR w.next IS NULL OR w.tenant <> ALL ($4))
ORDER BY w.place
LIMIT $5
