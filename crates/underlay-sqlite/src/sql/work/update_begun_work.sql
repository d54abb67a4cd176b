UPDATE {table}
SET begun = ?3
WHERE place = ?1
    AND shard = ?2
