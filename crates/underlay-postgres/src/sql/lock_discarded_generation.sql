SELECT
    name,
    generation
FROM discarded_generations
LIMIT 1
FOR UPDATE SKIP LOCKED
