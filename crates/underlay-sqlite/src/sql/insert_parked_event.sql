INSERT INTO parked_events (
    name,
    generation,
    position,
    tenant,
    stream,
    version,
    event_id,
    reason
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
