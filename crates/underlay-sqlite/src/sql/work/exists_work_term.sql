SELECT 1
FROM work_shards
WHERE shard = ?1
    AND term = ?2
    AND worker = ?3
    AND expires_at > ?4
