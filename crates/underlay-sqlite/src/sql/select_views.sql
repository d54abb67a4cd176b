SELECT
    views.name,
    view_generations.generation,
    view_generations.fingerprint,
    view_generations.store_id,
    view_generations.position,
    view_generations.event_id,
    (
        SELECT count(*)
        FROM parked_events
        WHERE parked_events.name = view_generations.name
            AND parked_events.generation = view_generations.generation
    ),
    view_generations.generation = views.generation,
    view_generations.replaced_at,
    (
        SELECT count(*)
        FROM discarded_generations
        WHERE discarded_generations.name = views.name
    )
FROM views
JOIN view_generations ON view_generations.name = views.name
ORDER BY
    views.name,
    view_generations.generation = views.generation DESC
