INSERT INTO work_shards (
    shard,
    term,
    worker,
    holder,
    expires_at,
    urgent_cursor,
    normal_cursor,
    suspects_to
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
ON CONFLICT (shard) DO UPDATE SET
    term = excluded.term,
    worker = excluded.worker,
    holder = excluded.holder,
    expires_at = excluded.expires_at,
    urgent_cursor = excluded.urgent_cursor,
    normal_cursor = excluded.normal_cursor,
    suspects_to = excluded.suspects_to
