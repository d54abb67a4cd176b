SELECT
    place,
    tenant
FROM work
WHERE shard = ?1
    AND lane = ?2
    AND place > ?3
ORDER BY place
