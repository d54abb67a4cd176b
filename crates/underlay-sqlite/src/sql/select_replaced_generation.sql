SELECT
    generation,
    fingerprint,
    definition
FROM view_generations
WHERE name = ?1
    AND replaced_at IS NOT NULL
