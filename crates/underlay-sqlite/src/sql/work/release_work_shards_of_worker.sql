UPDATE work_shards
SET expires_at = ?2
WHERE worker = ?1
