SELECT
    views.generation,
    view_generations.fingerprint,
    view_generations.definition
FROM views
JOIN view_generations
    ON view_generations.name = views.name
    AND view_generations.generation = views.generation
WHERE views.name = $1
