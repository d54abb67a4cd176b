-- Each stream is found by the name of the one before it, so that the events of a stream are passed over. The
-- recursion gives as many names as the outer query takes, in their order.
WITH RECURSIVE found (stream) AS (
    (
        SELECT stream
        FROM events
        WHERE tenant = $1
            AND stream > $2
            AND stream < $3
        ORDER BY stream
        LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT events.stream
        FROM events
        WHERE events.tenant = $1
            AND events.stream > found.stream
            AND events.stream < $3
        ORDER BY events.stream
        LIMIT 1
    )
    FROM found
    WHERE found.stream IS NOT NULL
)
SELECT
    stream,
    (
        SELECT version
        FROM events
        WHERE events.tenant = $1
            AND events.stream = found.stream
        ORDER BY version DESC
        LIMIT 1
    ) AS version
FROM found
WHERE stream IS NOT NULL
LIMIT $4
