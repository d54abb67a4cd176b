SELECT
    store_id,
    position,
    event_id,
    definition
FROM checkpoints
WHERE name = $1
ORDER BY move DESC
LIMIT 1
