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
WHERE tenant = $1
    AND stream = $2
    AND version > $3
ORDER BY version
LIMIT $4
