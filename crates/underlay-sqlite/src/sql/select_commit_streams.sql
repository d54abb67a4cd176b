-- The plus keeps the index by tenant out: the positions are few.
SELECT
    stream,
    version
FROM events
WHERE position > ?1
    AND position <= ?2
    AND +tenant = ?3
ORDER BY position
