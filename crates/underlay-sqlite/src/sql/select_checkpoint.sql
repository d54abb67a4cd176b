SELECT
    store_id,
    position,
    event_id
FROM view_generations
WHERE name = ?1
    AND generation = ?2
    AND replaced_at IS NULL
