DELETE FROM {table}
WHERE place = ?1
    AND shard = ?2
