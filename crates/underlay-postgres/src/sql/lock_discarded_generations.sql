SELECT
    name,
    generation
FROM discarded_generations
ORDER BY
    name,
    generation
LIMIT 100
FOR UPDATE SKIP LOCKED
