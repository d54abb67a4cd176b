-- A program of an older version counts from what is there, and does not note the number it gives.
UPDATE views
SET last_generation = 1 + greatest(
    last_generation,
    generation,
    (
        SELECT max(view_generations.generation)
        FROM view_generations
        WHERE view_generations.name = views.name
    ),
    (
        SELECT max(replaced_generations.generation)
        FROM replaced_generations
        WHERE replaced_generations.name = views.name
    ),
    (
        SELECT max(discarded_generations.generation)
        FROM discarded_generations
        WHERE discarded_generations.name = views.name
    )
)
WHERE name = $1
RETURNING last_generation
