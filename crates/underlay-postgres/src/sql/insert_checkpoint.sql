INSERT INTO view_checkpoints (
    name,
    generation,
    move,
    store_id,
    position,
    event_id
) VALUES ($1, $2, 0, $3, $4, $5)
