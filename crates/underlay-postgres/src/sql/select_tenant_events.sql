-- The tenant is asked for as a range, and the order begins with it, so that the one index that has this order
-- is walked, whatever the statistics say. So many events as $6 are looked at; the last of them comes along
-- whether it passes or not, and says that more may follow.
SELECT
    position,
    tenant,
    stream,
    version,
    event_id,
    type,
    schema_version,
    recorded_at,
    commit_tail,
    encoding,
    key_id,
    metadata,
    payload,
    place
FROM (
    SELECT
        *,
        row_number() OVER (
            ORDER BY
                tenant,
                position
        ) AS place
    FROM events
    WHERE tenant >= $2
        AND tenant <= $2
        AND position > $1
    ORDER BY
        tenant,
        position
    LIMIT $6
) AS events
WHERE place = $6
    OR (
        (cardinality($3) = 0 OR split_part(stream, '-', 1) = ANY ($3))
        AND (cardinality($4) = 0 OR type = ANY ($4))
    )
ORDER BY
    tenant,
    position
LIMIT $5
