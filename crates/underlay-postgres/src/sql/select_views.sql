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
    )
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
ORDER BY
    views.name,
    generations.generation = views.generation DESC
