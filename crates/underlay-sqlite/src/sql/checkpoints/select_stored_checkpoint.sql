SELECT
    store_id,
    position,
    event_id,
    definition
FROM checkpoints
WHERE name = ?1
