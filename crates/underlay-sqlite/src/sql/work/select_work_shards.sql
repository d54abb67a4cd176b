SELECT
    shard,
    term,
    worker,
    expires_at,
    urgent_cursor,
    normal_cursor,
    suspects_to,
    holder
FROM work_shards
ORDER BY shard
