SELECT
    view_generations.generation,
    view_generations.generation = views.generation
FROM view_generations
JOIN views ON views.name = view_generations.name
WHERE view_generations.name = $1
ORDER BY view_generations.generation
