DELETE FROM replaced_generations
WHERE name = $1
RETURNING
    generation,
    fingerprint,
    definition::text
