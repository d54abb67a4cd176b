SELECT coalesce(last.version, 0)
FROM unnest($2) WITH ORDINALITY AS asked (stream, place)
LEFT JOIN LATERAL (
    SELECT version
    FROM events
    WHERE events.tenant = $1
        AND events.stream = asked.stream
    ORDER BY version DESC
    LIMIT 1
) AS last ON true
ORDER BY asked.place
