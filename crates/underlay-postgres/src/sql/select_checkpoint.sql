SELECT
    store_id,
    position,
    event_id
FROM view_checkpoints
WHERE name = $1
    AND generation = $2
    AND EXISTS (
        SELECT
        FROM view_generations
        WHERE view_generations.name = $1
            AND view_generations.generation = $2
    )
ORDER BY move DESC
LIMIT 1
