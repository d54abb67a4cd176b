SELECT
    name,
    generation
FROM discarded_generations
LIMIT 1
