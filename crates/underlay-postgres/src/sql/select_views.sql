SELECT
    views.name,
    views.generation,
    view_generations.fingerprint,
    active.store_id,
    active.position,
    active.event_id,
    building.generation,
    building.store_id,
    building.position,
    building.event_id
FROM views
JOIN view_generations
    ON view_generations.name = views.name
    AND view_generations.generation = views.generation
LEFT JOIN LATERAL (
    SELECT
        store_id,
        position,
        event_id
    FROM view_checkpoints
    WHERE view_checkpoints.name = views.name
        AND view_checkpoints.generation = views.generation
    ORDER BY move DESC
    LIMIT 1
) AS active ON true
LEFT JOIN LATERAL (
    SELECT
        generation,
        store_id,
        position,
        event_id
    FROM view_checkpoints
    WHERE view_checkpoints.name = views.name
        AND view_checkpoints.generation > views.generation
    ORDER BY generation DESC, move DESC
    LIMIT 1
) AS building ON true
ORDER BY views.name
