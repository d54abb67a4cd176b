DELETE FROM work
WHERE place = ?1
    AND shard = ?2
