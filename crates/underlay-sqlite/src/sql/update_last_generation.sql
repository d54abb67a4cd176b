-- A program of an older version counts from what is there, and does not note the number it gives.
UPDATE views
SET last_generation = 1 + max(
    last_generation,
    generation,
    (
        SELECT coalesce(max(view_generations.generation), 0)
        FROM view_generations
        WHERE view_generations.name = views.name
    )
)
WHERE name = ?1
RETURNING last_generation
