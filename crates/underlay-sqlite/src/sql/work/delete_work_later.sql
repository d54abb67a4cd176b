DELETE FROM work_later
WHERE place = ?1
    AND shard = ?2
RETURNING
    tenant,
    receiver,
    key
