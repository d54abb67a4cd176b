SELECT
    store_id,
    position,
    event_id,
    definition,
    name
FROM checkpoints
ORDER BY name
