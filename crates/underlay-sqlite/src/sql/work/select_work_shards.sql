SELECT
    shard,
    term,
    worker,
    expires_at,
    urgent_cursor,
    normal_cursor
FROM work_shards
ORDER BY shard
