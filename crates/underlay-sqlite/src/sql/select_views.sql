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
    ),
    (
        SELECT count(*)
        FROM parked_events
        JOIN skipped_events ON skipped_events.name = parked_events.name
            AND skipped_events.position = parked_events.position
            AND skipped_events.event_id = parked_events.event_id
        WHERE parked_events.name = view_generations.name
            AND parked_events.generation = view_generations.generation
    ),
    (
        SELECT stop
        FROM view_stops
        WHERE view_stops.name = view_generations.name
            AND view_stops.generation = view_generations.generation
            AND view_stops.position = view_generations.position
    ),
    view_orders.number,
    view_orders.body
FROM views
JOIN view_generations ON view_generations.name = views.name
LEFT JOIN view_orders ON view_orders.name = views.name
    AND view_generations.generation = views.generation
ORDER BY
    views.name,
    view_generations.generation = views.generation DESC
