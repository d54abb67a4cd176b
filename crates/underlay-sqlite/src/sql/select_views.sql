SELECT
    views.name,
    views.generation,
    active.fingerprint,
    active.store_id,
    active.position,
    active.event_id,
    building.generation,
    building.store_id,
    building.position,
    building.event_id
FROM views
JOIN view_generations AS active
    ON active.name = views.name
    AND active.generation = views.generation
LEFT JOIN view_generations AS building
    ON building.name = views.name
    AND building.generation > views.generation
ORDER BY views.name
