-- Of one block.
SELECT
    place,
    tenant
FROM work
WHERE lane = ?1
    AND place >> 16 = ?2
    AND shard = ?3
    AND place > ?4
ORDER BY place
