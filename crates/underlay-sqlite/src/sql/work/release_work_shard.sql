-- The row stays, so that the next worker has a higher term.
UPDATE work_shards
SET expires_at = ?4
WHERE shard = ?1
    AND term = ?2
    AND worker = ?3
