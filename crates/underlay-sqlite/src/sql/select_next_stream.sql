SELECT
    stream,
    version
FROM events
WHERE tenant = ?1
    AND stream = (
        SELECT stream
        FROM events
        WHERE tenant = ?1
            AND stream > ?2
            AND stream < ?3
        ORDER BY stream
        LIMIT 1
    )
ORDER BY version DESC
LIMIT 1
