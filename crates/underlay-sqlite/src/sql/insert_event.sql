INSERT INTO events (
    position,
    tenant,
    stream,
    version,
    event_id,
    type,
    schema_version,
    recorded_at,
    commit_tail,
    metadata,
    payload,
    encoding,
    key_id
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
