INSERT INTO view_generations (
    name,
    generation,
    fingerprint,
    definition,
    store_id,
    position,
    event_id
) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
