INSERT INTO checkpoints (
    name,
    store_id,
    position,
    event_id,
    definition
) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (name) DO UPDATE SET
    store_id = excluded.store_id,
    position = excluded.position,
    event_id = excluded.event_id,
    definition = excluded.definition
