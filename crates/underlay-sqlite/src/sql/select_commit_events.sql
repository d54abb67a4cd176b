SELECT
    position,
    tenant,
    stream,
    version,
    event_id,
    type,
    schema_version,
    recorded_at,
    commit_tail,
    encoding,
    key_id,
    metadata,
    payload
FROM events
WHERE position > ?1
    AND position <= ?2
ORDER BY position
