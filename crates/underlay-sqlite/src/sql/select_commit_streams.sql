SELECT
    stream,
    version
FROM events
WHERE position > ?1
    AND position <= ?2
ORDER BY position
