SELECT
    views.name,
    generations.generation,
    generations.fingerprint,
    checkpoints.store_id,
    checkpoints.position,
    checkpoints.event_id,
    (
        SELECT count(*)
        FROM parked_events
        WHERE parked_events.name = views.name
            AND parked_events.generation = generations.generation
    ),
    generations.generation = views.generation,
    generations.replaced_at,
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
        WHERE parked_events.name = views.name
            AND parked_events.generation = generations.generation
    ),
    (
        SELECT stop::text
        FROM view_stops
        WHERE view_stops.name = views.name
            AND view_stops.generation = generations.generation
            AND view_stops.position = checkpoints.position
    ),
    view_orders.number,
    view_orders.body::text
FROM views
JOIN (
    SELECT
        name,
        generation,
        fingerprint,
        NULL::bigint AS replaced_at
    FROM view_generations
    UNION ALL
    SELECT
        name,
        generation,
        fingerprint,
        replaced_at
    FROM replaced_generations
) AS generations ON generations.name = views.name
LEFT JOIN LATERAL (
    SELECT
        store_id,
        position,
        event_id
    FROM view_checkpoints
    WHERE view_checkpoints.name = generations.name
        AND view_checkpoints.generation = generations.generation
    ORDER BY move DESC
    LIMIT 1
) AS checkpoints ON true
LEFT JOIN view_orders ON view_orders.name = views.name
    AND generations.generation = views.generation
ORDER BY
    views.name,
    generations.generation = views.generation DESC
